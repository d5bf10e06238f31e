//! The language that a peer says it is written in (fact sheet: remoting 1.2).

/// Language of the sender. It decides nothing on the wire except the body form of code 220 towards
/// [`Language::Cpp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Language {
    /// What a header without this member means.
    #[default]
    Java = 0,
    /// C++.
    Cpp = 1,
    /// .NET.
    DotNet = 2,
    /// Python.
    Python = 3,
    /// Delphi.
    Delphi = 4,
    /// Erlang.
    Erlang = 5,
    /// Ruby.
    Ruby = 6,
    /// Anything else; also what an unknown name or number is read as, for peers newer than this table.
    Other = 7,
    /// HTTP gateways.
    Http = 8,
    /// Go.
    Go = 9,
    /// PHP.
    Php = 10,
    /// OpenMessaging.
    Oms = 11,
    /// Rust.
    Rust = 12,
    /// Node.js.
    NodeJs = 13,
}

impl Language {
    /// Every language, at the index of its number.
    pub const ALL: [Self; 14] = [
        Self::Java,
        Self::Cpp,
        Self::DotNet,
        Self::Python,
        Self::Delphi,
        Self::Erlang,
        Self::Ruby,
        Self::Other,
        Self::Http,
        Self::Go,
        Self::Php,
        Self::Oms,
        Self::Rust,
        Self::NodeJs,
    ];

    /// The name in a JSON header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Java => "JAVA",
            Self::Cpp => "CPP",
            Self::DotNet => "DOTNET",
            Self::Python => "PYTHON",
            Self::Delphi => "DELPHI",
            Self::Erlang => "ERLANG",
            Self::Ruby => "RUBY",
            Self::Other => "OTHER",
            Self::Http => "HTTP",
            Self::Go => "GO",
            Self::Php => "PHP",
            Self::Oms => "OMS",
            Self::Rust => "RUST",
            Self::NodeJs => "NODE_JS",
        }
    }

    /// The number in a binary header.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads a name; unknown ones are [`Language::Other`].
    pub fn from_name(name: &[u8]) -> Self {
        Self::ALL.into_iter().find(|language| language.name().as_bytes() == name).unwrap_or(Self::Other)
    }

    /// Reads a number; unknown ones are [`Language::Other`].
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for language in Language::ALL {
            assert_eq!(Language::from_number(language.number()), language);
            assert_eq!(Language::from_name(language.name().as_bytes()), language);
        }
        assert_eq!(Language::from_name(b"KOTLIN"), Language::Other);
        assert_eq!(Language::from_number(200), Language::Other);
    }
}
