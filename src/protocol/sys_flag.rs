//! The bits that the system keeps in a message (fact sheet: remoting 3.2, store 2.3).

/// A message's system flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SysFlag(pub i32);

/// Where a message stands in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionType {
    /// Not part of one.
    None,
    /// A half message.
    Prepared,
    /// Committed: visible.
    Commit,
    /// Rolled back.
    Rollback,
}

/// How a compressed body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A zlib stream; also what older clients mean by leaving the bits 0.
    Zlib,
    /// An LZ4 frame.
    Lz4,
    /// A Zstandard frame.
    Zstd,
    /// A number that no release has given out.
    Unknown,
}

impl SysFlag {
    /// The body is compressed, see [`SysFlag::compression`].
    pub const COMPRESSED: Self = Self(0x1);
    /// The tags property holds several tags.
    pub const MULTI_TAGS: Self = Self(0x2);
    /// The born host is an IPv6 address.
    pub const BORN_HOST_V6: Self = Self(0x10);
    /// The store host is an IPv6 address.
    pub const STORE_HOST_V6: Self = Self(0x20);
    /// A client must unwrap the inner batch.
    pub const NEED_UNWRAP: Self = Self(0x40);
    /// The record holds an inner batch.
    pub const INNER_BATCH: Self = Self(0x80);

    const TRANSACTION_MASK: i32 = 0xC;
    const COMPRESSION_MASK: i32 = 0x700;

    /// Whether all bits of `flag` are set.
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// With the bits of `flag` set.
    pub const fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    /// With the bits of `flag` cleared.
    pub const fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }

    /// With the bits of `flag` set or cleared.
    pub const fn set(self, flag: Self, on: bool) -> Self {
        if on { self.with(flag) } else { self.without(flag) }
    }

    /// The transaction bits.
    pub const fn transaction(self) -> TransactionType {
        match self.0 & Self::TRANSACTION_MASK {
            0x4 => TransactionType::Prepared,
            0x8 => TransactionType::Commit,
            0xC => TransactionType::Rollback,
            _ => TransactionType::None,
        }
    }

    /// With other transaction bits.
    pub const fn with_transaction(self, transaction: TransactionType) -> Self {
        let bits = match transaction {
            TransactionType::None => 0,
            TransactionType::Prepared => 0x4,
            TransactionType::Commit => 0x8,
            TransactionType::Rollback => 0xC,
        };
        Self((self.0 & !Self::TRANSACTION_MASK) | bits)
    }

    /// How the body is compressed; `None` when it is not.
    pub const fn compression(self) -> Option<Compression> {
        if !self.has(Self::COMPRESSED) {
            return None;
        }
        Some(match self.0 & Self::COMPRESSION_MASK {
            0 | 0x300 => Compression::Zlib,
            0x100 => Compression::Lz4,
            0x200 => Compression::Zstd,
            _ => Compression::Unknown,
        })
    }

    /// Marked as compressed in this way; [`Compression::Unknown`] leaves the type bits 0.
    pub const fn with_compression(self, compression: Compression) -> Self {
        let bits = match compression {
            Compression::Zlib => 0x300,
            Compression::Lz4 => 0x100,
            Compression::Zstd => 0x200,
            Compression::Unknown => 0,
        };
        Self((self.0 & !Self::COMPRESSION_MASK) | bits | Self::COMPRESSED.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observed_flags_are_understood() {
        assert_eq!(SysFlag(0x301).compression(), Some(Compression::Zlib));
        assert_eq!(SysFlag(0x1).compression(), Some(Compression::Zlib));
        assert_eq!(SysFlag(0x101).compression(), Some(Compression::Lz4));
        assert_eq!(SysFlag(0x201).compression(), Some(Compression::Zstd));
        assert_eq!(SysFlag(0x300).compression(), None);
        assert_eq!(SysFlag(0x8).transaction(), TransactionType::Commit);
        assert!(SysFlag(0xC0).has(SysFlag::INNER_BATCH.with(SysFlag::NEED_UNWRAP)));
    }

    #[test]
    fn setting_one_field_leaves_the_others() {
        let flag =
            SysFlag(0x10).with_transaction(TransactionType::Rollback).with_compression(Compression::Lz4);
        assert_eq!(flag, SysFlag(0x11D));
        assert_eq!(flag.with_transaction(TransactionType::None), SysFlag(0x111));
        assert_eq!(flag.set(SysFlag::BORN_HOST_V6, false), SysFlag(0x10D));
    }
}
