//! Writes a JSON header, members in the order of RocketMQ's own: alphabetical, absent ones left out.

use bytes::{BufMut, BytesMut};

use crate::protocol::fields::{Emit, Value};
use crate::protocol::header::Head;

/// Appends a header block. `extFields` is always there, as an empty object where there are none: some clients
/// read it without asking.
pub(in crate::protocol::header) fn encode(head: &Head<'_>, fields: &impl Emit, out: &mut BytesMut) {
    member(out, "{\"code\":", head.code);
    out.put_slice(b",\"extFields\":{");
    let mut first = true;
    fields.emit(&mut |key, value| {
        out.put_slice(if first { b"\"" } else { b",\"" });
        first = false;
        escaped(out, key);
        out.put_slice(b"\":\"");
        match value {
            Value::Text(text) => escaped(out, text),
            plain => plain.with_str(|text| out.put_slice(text.as_bytes())),
        }
        out.put_slice(b"\"");
    });
    member(out, "},\"flag\":", head.flag);
    out.put_slice(b",\"language\":\"");
    out.put_slice(head.language.name().as_bytes());
    member(out, "\",\"opaque\":", head.opaque);
    if let Some(remark) = head.remark {
        out.put_slice(b",\"remark\":\"");
        escaped(out, remark);
        out.put_slice(b"\"");
    }
    member(out, ",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":", head.version);
    out.put_slice(b"}");
}

fn member(out: &mut BytesMut, before: &str, number: i32) {
    out.put_slice(before.as_bytes());
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends text with quotes, backslashes and control characters escaped; everything else stays UTF-8.
fn escaped(out: &mut BytesMut, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let needs_escape = |&byte: &u8| matches!(byte, ..0x20 | b'"' | b'\\');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(needs_escape) {
        let (plain, special) = rest.split_at(at);
        out.put_slice(plain);
        let Some((&byte, behind)) = special.split_first() else { break };
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            _ => {
                out.put_slice(b"\\u00");
                for digit in [byte >> 4, byte & 15] {
                    out.extend(HEX.get(usize::from(digit)));
                }
            }
        }
        rest = behind;
    }
    out.put_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fields::Fields;
    use crate::protocol::language::Language;

    #[test]
    fn members_come_in_the_order_of_the_java_server() {
        let head = Head {
            code: 0,
            language: Language::Java,
            version: 493,
            opaque: 7,
            flag: 1,
            remark: Some("a\"b"),
        };
        let fields = Fields::new().with("queueId", 3).with("properties", "K\u{1}v\u{2}\té");
        let mut out = BytesMut::new();
        encode(&head, &fields, &mut out);
        let expected = concat!(
            r#"{"code":0,"extFields":{"queueId":"3","properties":"K\u0001v\u0002\té"},"flag":1,"language":"JAVA","#,
            r#""opaque":7,"remark":"a\"b","serializeTypeCurrentRPC":"JSON","version":493}"#
        );
        assert_eq!(std::str::from_utf8(&out).expect("utf-8"), expected);
    }
}
