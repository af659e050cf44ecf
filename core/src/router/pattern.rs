use crate::hash::Seed;
use crate::uri::{MatchPolicy, Uri, matches};
#[derive(Debug)]
pub(crate) struct PatternMap<V>(Vec<(MatchPolicy, Uri, V)>);
impl<V: Copy> PatternMap<V> {
    pub(crate) fn new(_: &Seed) -> Self {
        Self(Vec::new())
    }
    pub(crate) fn get(&self, m: MatchPolicy, u: &str) -> Option<V> {
        self.0.iter().find(|(a, b, _)| *a == m && b.as_str() == u).map(|x| x.2)
    }
    pub(crate) fn insert(&mut self, m: MatchPolicy, u: Uri, v: V) {
        self.0.push((m, u, v))
    }
    pub(crate) fn remove(&mut self, m: MatchPolicy, u: &str) {
        self.0.retain(|(a, b, _)| !(*a == m && b.as_str() == u))
    }
    pub(crate) fn best(&self, u: &str) -> Option<V> {
        self.0.iter().find(|(a, b, _)| matches(b.as_str(), *a, u)).map(|x| x.2)
    }
    pub(crate) fn for_each_match(&self, u: &str, mut f: impl FnMut(&V)) {
        for x in &self.0 {
            if matches(x.1.as_str(), x.0, u) {
                f(&x.2)
            }
        }
    }
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
