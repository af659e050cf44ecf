//! temporary
#![allow(missing_docs)] // stands in until the real rules replace this file
use crate::uri::MatchPolicy;
#[derive(Debug, Clone, Copy)]
pub enum Action {
    Call,
    Register,
    Subscribe,
    Publish,
}
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    pub allow: bool,
    pub disclose: bool,
}
#[derive(Debug, Clone)]
pub struct Permissions;
#[derive(Debug, Clone)]
pub struct Allow;
#[derive(Debug, Clone)]
pub struct Disclose;
#[derive(Debug, Clone)]
pub struct Rule;
impl Permissions {
    pub fn decide(&self, _: Action, _: &str, _: MatchPolicy) -> Decision {
        Decision { allow: true, disclose: false }
    }
}
