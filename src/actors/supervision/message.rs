//! What a mailbox holds: one enum per kind of actor.

/// A message of one kind of actor. Implement it with [`messages!`](crate::messages).
pub trait Message: Send + 'static {
    /// The names of all kinds of this message, in the order of [`Message::kind`].
    const KINDS: &'static [&'static str];

    /// The index of this message's name in [`Message::KINDS`].
    fn kind(&self) -> usize;
}

/// For actors that are told nothing: they only start, run their futures and stop.
impl Message for std::convert::Infallible {
    const KINDS: &'static [&'static str] = &[];

    fn kind(&self) -> usize {
        match *self {}
    }
}

/// Declares an enum and makes it a [`Message`]: the names come from the variants, so that the watchdog,
/// the fault injection and the tests know every kind without a second list.
#[macro_export]
macro_rules! messages {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident $(($($field:ty),+ $(,)?))? $({$($(#[$named_meta:meta])* $named:ident: $named_type:ty),+ $(,)?})?),+ $(,)?
    }) => {
        $(#[$meta])*
        $vis enum $name {
            $($(#[$variant_meta])* $variant $(($($field),+))? $({$($(#[$named_meta])* $named: $named_type),+})?),+
        }

        impl $crate::actors::supervision::Message for $name {
            const KINDS: &'static [&'static str] = &[$(stringify!($variant)),+];

            fn kind(&self) -> usize {
                enum Kind { $($variant),+ }
                match self {
                    $(Self::$variant { .. } => Kind::$variant as usize),+
                }
            }
        }
    };
}
