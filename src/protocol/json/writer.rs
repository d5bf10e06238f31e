//! The JSON writer: as serde_json's, but a map key may be any value.

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};
use std::io::Write;

use super::{JsonError, Style};

/// Writes a body in RocketMQ's style.
///
/// # Errors
/// [`JsonError::Encode`] for what no body holds: bytes and enum variants with content.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    to_vec_styled(value, Style::RocketMq)
}

/// Writes a body in the given style.
///
/// # Errors
/// As [`to_vec`].
pub fn to_vec_styled<T: Serialize + ?Sized>(value: &T, style: Style) -> Result<Vec<u8>, JsonError> {
    let mut writer = Writer { out: Vec::with_capacity(256), style };
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    style: Style,
}

impl serde::ser::Error for JsonError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Encode(message.to_string())
    }
}

impl Writer {
    fn display(&mut self, value: impl std::fmt::Display) -> Result<(), JsonError> {
        write!(self.out, "{value}").map_err(|error| JsonError::Encode(error.to_string()))
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        self.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), JsonError> {
        self.out.push(b'"');
        for character in text.chars() {
            match character {
                '"' => self.word("\\\"")?,
                '\\' => self.word("\\\\")?,
                '\n' => self.word("\\n")?,
                '\r' => self.word("\\r")?,
                '\t' => self.word("\\t")?,
                '\0'..='\x1F' => self.escape(character)?,
                character if self.style == Style::Standard && !character.is_ascii() => {
                    self.escape(character)?
                }
                character => self.word(character.encode_utf8(&mut [0; 4]))?,
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn escape(&mut self, character: char) -> Result<(), JsonError> {
        character
            .encode_utf16(&mut [0; 2])
            .iter()
            .try_for_each(|unit| self.display(format_args!("\\u{unit:04X}")))
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        let start = self.out.len();
        key.serialize(&mut *self)?;
        if self.style == Style::Standard && self.out.get(start) != Some(&b'"') {
            let bare = self.out.split_off(start);
            self.string(&String::from_utf8_lossy(&bare))?;
        }
        self.out.push(b':');
        Ok(())
    }

    fn open(&mut self, brackets: [u8; 2]) -> Items<'_> {
        let [open, close] = brackets;
        self.out.push(open);
        Items { writer: self, close, is_first: true }
    }
}

const OBJECT: [u8; 2] = *b"{}";
const ARRAY: [u8; 2] = *b"[]";

fn unsupported(what: &str) -> JsonError {
    JsonError::Encode(format!("{what} has no JSON form here"))
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Impossible<(), JsonError>;
    type SerializeTupleVariant = Impossible<(), JsonError>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Impossible<(), JsonError>;

    fn serialize_bool(self, value: bool) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_i8(self, value: i8) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_i16(self, value: i16) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_i32(self, value: i32) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_i64(self, value: i64) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_u8(self, value: u8) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_u16(self, value: u16) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_u32(self, value: u32) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_u64(self, value: u64) -> Result<(), JsonError> {
        self.display(value)
    }
    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        if value.is_finite() { self.display(format_args!("{value:?}")) } else { self.word("null") }
    }
    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        self.string(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), JsonError> {
        self.string(value)
    }
    fn serialize_bytes(self, _value: &[u8]) -> Result<(), JsonError> {
        Err(unsupported("a byte string"))
    }
    fn serialize_none(self) -> Result<(), JsonError> {
        self.word("null")
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), JsonError> {
        self.word("null")
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), JsonError> {
        self.word("null")
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), JsonError> {
        self.string(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), JsonError> {
        Err(unsupported(variant))
    }
    fn serialize_seq(self, _len: Option<usize>) -> Result<Items<'a>, JsonError> {
        Ok(self.open(ARRAY))
    }
    fn serialize_tuple(self, _len: usize) -> Result<Items<'a>, JsonError> {
        Ok(self.open(ARRAY))
    }
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, JsonError> {
        Err(unsupported(name))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, JsonError> {
        Err(unsupported(variant))
    }
    fn serialize_map(self, _len: Option<usize>) -> Result<Items<'a>, JsonError> {
        Ok(self.open(OBJECT))
    }
    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Items<'a>, JsonError> {
        Ok(self.open(OBJECT))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, JsonError> {
        Err(unsupported(variant))
    }
}

/// An array or object under way.
struct Items<'a> {
    writer: &'a mut Writer,
    close: u8,
    is_first: bool,
}

impl Items<'_> {
    fn separate(&mut self) {
        if !self.is_first {
            self.writer.out.push(b',');
        }
        self.is_first = false;
    }

    fn close(self) -> Result<(), JsonError> {
        self.writer.out.push(self.close);
        Ok(())
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = JsonError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.separate();
        value.serialize(&mut *self.writer)
    }
    fn end(self) -> Result<(), JsonError> {
        self.close()
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = JsonError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<(), JsonError> {
        self.close()
    }
}

impl SerializeMap for Items<'_> {
    type Ok = ();
    type Error = JsonError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        self.separate();
        self.writer.key(key)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        value.serialize(&mut *self.writer)
    }
    fn end(self) -> Result<(), JsonError> {
        self.close()
    }
}

impl SerializeStruct for Items<'_> {
    type Ok = ();
    type Error = JsonError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        self.separate();
        self.writer.key(name)?;
        value.serialize(&mut *self.writer)
    }
    fn end(self) -> Result<(), JsonError> {
        self.close()
    }
}
