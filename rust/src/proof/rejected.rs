//! Why a proof is rejected.

use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Rejected {
    /// Fewer bytes than the fixed part, or than what the positions ask for.
    Short {
        bytes: usize,
        least: usize,
    },
    Long {
        bytes: usize,
        most: usize,
    },
    /// Bytes behind the last opening.
    Trailing {
        bytes: usize,
    },
    Magic,
    Version(u16),
    Reserved(u16),
    /// The digest in the proof is not that of the statement.
    Statement,
    /// A word at this offset is not below p.
    NotReduced {
        offset: usize,
    },
    /// The openings of this tree do not lead to its root.
    Root {
        tree: &'static str,
    },
    /// The opened words of nu and the mask row do not fit u_m.
    MaskRow {
        position: usize,
    },
    /// The second sum-check does not end where u_2 says.
    Row,
    /// The opened runs do not fit u_2.
    Run {
        position: usize,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes, least } => write!(f, "the proof ends after {bytes} bytes, {least} or more are needed"),
            Self::Long { bytes, most } => write!(f, "{bytes} bytes are more than the {most} that a proof can have"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the last opening"),
            Self::Magic => write!(f, "the bytes do not begin as a proof of this kind does"),
            Self::Version(version) => write!(f, "version {version} is unknown"),
            Self::Reserved(value) => write!(f, "the reserved field holds {value}, not 0"),
            Self::Statement => write!(f, "it proves another statement"),
            Self::NotReduced { offset } => write!(f, "the word at byte {offset} is not below the modulus"),
            Self::Root { tree } => write!(f, "the openings of tree {tree} do not lead to its root"),
            Self::MaskRow { position } => write!(f, "the opened masks at position {position} do not fit their row"),
            Self::Row => write!(f, "the claims about the committed columns do not hold"),
            Self::Run { position } => write!(f, "the opened row at position {position} does not fit its combination"),
        }
    }
}
