//! Command lines: `--name value`, `--name=value`, `--switch`, `-h` for `--help`, and the rest in order.

use core::fmt;

/// An option that a command knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name, with dashes.
    pub name: &'static str,
    /// Whether a value follows.
    pub takes_value: bool,
}

/// A command line that was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    options: Vec<(&'static str, String)>,
    /// What is not an option, in order.
    pub rest: Vec<String>,
}

/// Why a command line makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgsError {
    /// No such option.
    Unknown(String),
    /// The value is missing.
    NoValue(&'static str),
    /// A switch was given a value.
    NotAValue(&'static str),
    /// An option was given twice.
    Twice(&'static str),
    /// A value is not a number in the range.
    NotInRange {
        /// The option.
        name: &'static str,
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown option {name}"),
            Self::NoValue(name) => write!(f, "{name} needs a value"),
            Self::NotAValue(name) => write!(f, "{name} takes no value"),
            Self::Twice(name) => write!(f, "{name} is given twice"),
            Self::NotInRange { name, min, max } => write!(f, "{name} must be a number from {min} to {max}"),
        }
    }
}

impl core::error::Error for ArgsError {}

impl Args {
    /// Reads a command line without the names of program and command. `-h` is `--help`, if that is known. `-` alone and
    /// negative numbers are no options, and after `--` nothing is.
    ///
    /// # Errors
    /// See [`ArgsError`].
    pub fn parse(args: impl IntoIterator<Item = String>, known: &[Known]) -> Result<Self, ArgsError> {
        let mut parsed = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                parsed.rest.extend(args);
                break;
            }
            if !is_option(&arg) {
                parsed.rest.push(arg);
                continue;
            }
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None if arg == "-h" => ("--help", None),
                None => (arg.as_str(), None),
            };
            let option = known.iter().find(|option| option.name == name);
            let option = option.ok_or_else(|| ArgsError::Unknown(name.to_owned()))?;
            let value = match (option.takes_value, inline) {
                (true, Some(value)) => value,
                (true, None) => args.next().ok_or(ArgsError::NoValue(option.name))?,
                (false, None) => String::new(),
                (false, Some(_)) => return Err(ArgsError::NotAValue(option.name)),
            };
            if parsed.has(option.name) && option.name != "--help" {
                return Err(ArgsError::Twice(option.name));
            }
            parsed.options.push((option.name, value));
        }
        Ok(parsed)
    }

    /// Whether the option is given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of the option; of a switch the empty text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of the option as a number from `min` to `max`, or `default` if it is not given.
    ///
    /// # Errors
    /// [`ArgsError::NotInRange`].
    pub fn number(&self, name: &'static str, min: u64, max: u64, default: u64) -> Result<u64, ArgsError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or(ArgsError::NotInRange { name, min, max })
    }
}

/// Whether this is meant as an option. A dash alone and a negative number are not.
fn is_option(arg: &str) -> bool {
    let Some(name) = arg.strip_prefix('-') else { return false };
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] =
        &[Known { name: "--file", takes_value: true }, Known { name: "--quiet", takes_value: false }];

    const HELP: &[Known] = &[Known { name: "--help", takes_value: false }];

    fn parse(args: &[&str]) -> Result<Args, ArgsError> {
        Args::parse(args.iter().map(|arg| (*arg).to_owned()), KNOWN)
    }

    #[test]
    fn options_and_the_rest() {
        let args = parse(&["a", "--file", "x=y", "--quiet", "-", "--", "--file"]).expect("valid");
        assert_eq!((args.get("--file"), args.has("--quiet")), (Some("x=y"), true));
        assert_eq!(args.rest, ["a", "-", "--file"]);
        assert_eq!(parse(&["--file=7"]).expect("valid").number("--file", 1, 9, 1), Ok(7));
        assert_eq!(parse(&[]).expect("valid").number("--file", 1, 9, 3), Ok(3));
    }

    #[test]
    fn a_single_dash_begins_an_option_and_a_negative_number() {
        for args in [&["-h"][..], &["a", "-h"], &["-h", "-h", "--help"]] {
            assert!(Args::parse(args.iter().map(|arg| (*arg).to_owned()), HELP).expect("valid").has("--help"));
        }
        assert_eq!(parse(&["-h"]), Err(ArgsError::Unknown("--help".to_owned())));
        for unknown in ["-x", "-hx", "-.5", "-H", "-\u{e4}"] {
            assert_eq!(parse(&[unknown]), Err(ArgsError::Unknown(unknown.to_owned())));
        }
        let rest = ["-1", "-2.5e3", "-0", "-", "--", "-x", "-h"];
        assert_eq!(parse(&rest).expect("valid").rest, ["-1", "-2.5e3", "-0", "-", "-x", "-h"]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse(&["--fil", "x"]), Err(ArgsError::Unknown("--fil".to_owned())));
        assert_eq!(parse(&["--file"]), Err(ArgsError::NoValue("--file")));
        assert_eq!(parse(&["--quiet=1"]), Err(ArgsError::NotAValue("--quiet")));
        assert_eq!(parse(&["--quiet", "--quiet"]), Err(ArgsError::Twice("--quiet")));
        let range = ArgsError::NotInRange { name: "--file", min: 1, max: 9 };
        assert_eq!(parse(&["--file", "10"]).expect("valid").number("--file", 1, 9, 1), Err(range));
    }
}
