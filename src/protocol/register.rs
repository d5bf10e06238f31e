//! The body by which a broker registers with a name server (fact sheet: remoting 2.2).

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::data_version::DataVersion;
use super::json::{self, JsonError};
use super::mapping::{TopicQueueMappingDetail, TopicQueueMappingInfo};
use super::topic::TopicConfig;

/// Largest body that a compressed registration may unfold to, bytes: as much as a frame may hold.
pub const MAX_INFLATED: usize = 16 * 1024 * 1024;

/// Topics of one registration at most: each takes a kilobyte and more of a nameserver's memory.
pub const MAX_TOPICS: usize = 1 << 17;

/// First byte of a zlib stream with the usual window; JSON begins with a brace.
const ZLIB_MAGIC: u8 = 0x78;
/// Requester version from which on the body is more than the topic table.
const FULL_BODY_SINCE: i32 = 37;
/// Requester version from which on a compressed body ends with static topics.
const MAPPINGS_SINCE: i32 = 413;

/// Why a registration cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Not the expected JSON.
    #[error("cannot read the registration: {0}")]
    Json(#[from] JsonError),
    /// A broken zlib stream.
    #[error("cannot inflate the registration: {0}")]
    Inflate(#[source] std::io::Error),
    /// A zlib stream that unfolds beyond all measure.
    #[error("cannot inflate the registration: it is larger than {MAX_INFLATED} bytes")]
    TooLarge,
    /// More topics than a nameserver could bear from everybody.
    #[error(
        "the registration names {0} topics, and {MAX_TOPICS} are the most: share them out over more brokers"
    )]
    TooMany(usize),
    /// Sections that end too early or topics that cannot be read.
    #[error("cannot read the compressed registration: {0} is malformed")]
    Malformed(&'static str),
}

/// What a broker says of itself beyond the header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Filter servers; none in 5.x.
    pub filter_server_list: Vec<String>,
    /// Topics.
    pub topic_config_serialize_wrapper: TopicConfigSerializeWrapper,
}

/// The topics of a broker; also what a slave is given (fact sheet: remoting 7, code 21).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigSerializeWrapper {
    /// Version of the topic table.
    pub data_version: DataVersion,
    /// Version of the static topics.
    pub mapping_data_version: DataVersion,
    /// Topics by name.
    #[serde(deserialize_with = "topics")]
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Static topics as the broker knows them.
    pub topic_queue_mapping_detail_map: BTreeMap<String, TopicQueueMappingDetail>,
    /// Static topics as the name server needs them.
    pub topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingInfo>,
}

/// Reads the table, and no more of it than is allowed.
fn topics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, TopicConfig>, D::Error> {
    struct Table;

    impl<'de> Visitor<'de> for Table {
        type Value = BTreeMap<String, TopicConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("topics by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut topics = BTreeMap::new();
            while let Some((name, topic)) = map.next_entry()? {
                topics.insert(name, topic);
                if topics.len() > MAX_TOPICS {
                    return Err(A::Error::custom(RegisterError::TooMany(topics.len())));
                }
            }
            Ok(topics)
        }
    }
    deserializer.deserialize_map(Table)
}

impl RegisterBrokerBody {
    /// Reads the body of a requester of this `version`. Whether it is compressed is seen from its first
    /// byte: the header says so wrongly in 5.x.
    ///
    /// # Errors
    /// [`RegisterError`]; no body makes this allocate much beyond [`MAX_INFLATED`].
    pub fn decode(body: &[u8], version: i32) -> Result<Self, RegisterError> {
        if body.first() == Some(&ZLIB_MAGIC) {
            Self::from_sections(inflate(body)?)
        } else if version < FULL_BODY_SINCE {
            let topic_config_serialize_wrapper = json::from_slice(body)?;
            Ok(Self { topic_config_serialize_wrapper, ..Self::default() })
        } else {
            Ok(json::from_slice(body)?)
        }
    }

    /// Writes the body for a sender of this `version`.
    ///
    /// # Errors
    /// None in practice: all of it has a JSON form and fits.
    pub fn encode(&self, version: i32, compressed: bool) -> Result<Vec<u8>, RegisterError> {
        if !compressed {
            return Ok(json::to_vec(self)?);
        }
        let sections = self.to_sections(version)?;
        let mut zlib = ZlibEncoder::new(Vec::with_capacity(sections.len() / 4), Compression::best());
        zlib.write_all(&sections).and_then(|()| zlib.finish()).map_err(RegisterError::Inflate)
    }

    fn from_sections(mut sections: Bytes) -> Result<Self, RegisterError> {
        let mut topics = TopicConfigSerializeWrapper {
            data_version: take_json(&mut sections, "the data version")?,
            ..TopicConfigSerializeWrapper::default()
        };
        let count = take_len(&mut sections, "the number of topics")?;
        if count > MAX_TOPICS {
            return Err(RegisterError::TooMany(count));
        }
        for _ in 0..count {
            let line = take_section(&mut sections, "a topic")?;
            let topic = std::str::from_utf8(&line)
                .ok()
                .and_then(TopicConfig::from_line)
                .ok_or(RegisterError::Malformed("a topic"))?;
            topics.topic_config_table.insert(topic.topic_name.clone(), topic);
        }
        let filter_server_list = take_json(&mut sections, "the list of filter servers")?;
        // Older senders end here.
        if sections.has_remaining() {
            for _ in 0..take_len(&mut sections, "the number of static topics")? {
                let mapping: TopicQueueMappingInfo = take_json(&mut sections, "a static topic")?;
                topics.topic_queue_mapping_info_map.insert(mapping.topic.clone(), mapping);
            }
        }
        Ok(Self { filter_server_list, topic_config_serialize_wrapper: topics })
    }

    fn to_sections(&self, version: i32) -> Result<Vec<u8>, RegisterError> {
        let topics = &self.topic_config_serialize_wrapper;
        let mut out = Vec::with_capacity(64 * (topics.topic_config_table.len() + 2));
        put_section(&mut out, &json::to_vec(&topics.data_version)?);
        out.put_u32(topics.topic_config_table.len() as u32);
        for topic in topics.topic_config_table.values() {
            put_section(&mut out, topic.to_line()?.as_bytes());
        }
        put_section(&mut out, &json::to_vec(&self.filter_server_list)?);
        if version >= MAPPINGS_SINCE {
            out.put_u32(topics.topic_queue_mapping_info_map.len() as u32);
            for mapping in topics.topic_queue_mapping_info_map.values() {
                put_section(&mut out, &json::to_vec(mapping)?);
            }
        }
        Ok(out)
    }
}

/// The check sum that a registration carries in its header, `bodyCrc32`.
pub fn body_crc32(body: &[u8]) -> u32 {
    super::record::body_crc(body)
}

fn inflate(body: &[u8]) -> Result<Bytes, RegisterError> {
    let mut out = Vec::new();
    let bound = MAX_INFLATED as u64 + 1;
    ZlibDecoder::new(body).take(bound).read_to_end(&mut out).map_err(RegisterError::Inflate)?;
    if out.len() > MAX_INFLATED { Err(RegisterError::TooLarge) } else { Ok(out.into()) }
}

fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    out.put_u32(section.len() as u32);
    out.put_slice(section);
}

fn take_len(sections: &mut Bytes, what: &'static str) -> Result<usize, RegisterError> {
    let len = sections.try_get_i32().map_err(|_| RegisterError::Malformed(what))?;
    usize::try_from(len).map_err(|_| RegisterError::Malformed(what))
}

fn take_section(sections: &mut Bytes, what: &'static str) -> Result<Bytes, RegisterError> {
    let len = take_len(sections, what)?;
    if len > sections.remaining() {
        return Err(RegisterError::Malformed(what));
    }
    Ok(sections.split_to(len))
}

fn take_json<T: DeserializeOwned>(sections: &mut Bytes, what: &'static str) -> Result<T, RegisterError> {
    Ok(json::from_slice(&take_section(sections, what)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::topic::{Perm, TopicFilterType};
    use proptest::prelude::*;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(bytes).unwrap();
        zlib.finish().unwrap()
    }

    #[test]
    fn the_plain_body_reads_as_sent() {
        let text = br#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":1795216530113},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":0},"topicConfigTable":{"TBW102":{"attributes":{},"order":false,"perm":7,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"TBW102","topicSysFlag":0,"writeQueueNums":8}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}}"#;
        let body = RegisterBrokerBody::decode(text, 493).unwrap();
        let table = &body.topic_config_serialize_wrapper.topic_config_table;
        assert_eq!(table["TBW102"], TopicConfig::new("TBW102", 8, Perm(7)));
        assert_eq!(body.encode(493, false).unwrap(), text);
    }

    #[test]
    fn more_topics_than_are_allowed_are_refused_in_both_forms() {
        let names: Vec<_> = (0..=MAX_TOPICS).map(|number| format!("\"{number}\":{{}}")).collect();
        let table = format!("{{\"topicConfigTable\":{{{}}}}}", names.join(","));
        let error = RegisterBrokerBody::decode(table.as_bytes(), 36).unwrap_err().to_string();
        assert!(error.contains("names 131073 topics, and 131072 are the most"), "{error}");
        let mut sections = Vec::new();
        put_section(&mut sections, br#"{"counter":0,"stateVersion":0,"timestamp":0}"#);
        sections.put_u32(1_000_000);
        let error = RegisterBrokerBody::decode(&zlib(&sections), 493).unwrap_err();
        assert!(matches!(error, RegisterError::TooMany(1_000_000)), "{error}");
    }

    #[test]
    fn an_old_broker_sends_the_table_alone() {
        let body =
            RegisterBrokerBody::decode(br#"{"topicConfigTable":{"T":{"topicName":"T"}}}"#, 36).unwrap();
        assert_eq!(body.topic_config_serialize_wrapper.topic_config_table.len(), 1);
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zlib(&vec![0; MAX_INFLATED + 1]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(RegisterBrokerBody::decode(&bomb, 493), Err(RegisterError::TooLarge)));
    }

    #[test]
    fn counts_and_lengths_beyond_the_body_are_errors() {
        for sections in
            [&b""[..], b"\0\0\0\x02{}", b"\0\0\0\x02{}\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\x09{}"]
        {
            assert!(RegisterBrokerBody::decode(&zlib(sections), 493).is_err());
        }
        assert!(RegisterBrokerBody::decode(b"\x78\x9c\xff", 493).is_err());
        assert!(RegisterBrokerBody::decode(b"", 493).is_err());
    }

    prop_compose! {
        fn any_topic()(
            topic_name in "[%|a-zA-Z0-9_-]{1,20}",
            (read_queue_nums, write_queue_nums, perm) in any::<(i32, i32, i32)>(),
            is_multi: bool,
            attributes in prop::collection::btree_map(".{0,5}", ".{0,5}", 0..3),
        ) -> TopicConfig {
            let topic_filter_type = if is_multi { TopicFilterType::MultiTag } else { TopicFilterType::SingleTag };
            TopicConfig {
                topic_name, read_queue_nums, write_queue_nums, perm: Perm(perm), topic_filter_type, attributes,
                ..TopicConfig::default()
            }
        }
    }

    proptest! {
        #[test]
        fn both_forms_read_back(
            topics in prop::collection::vec(any_topic(), 0..8),
            mapped in prop::collection::vec(("[a-z]{1,5}", prop::collection::btree_map(0..9i32, 0..9i32, 0..3)), 0..3),
            counter: i64,
            filter_server_list: Vec<String>,
        ) {
            let wrapper = TopicConfigSerializeWrapper {
                data_version: DataVersion { counter, ..DataVersion::default() },
                topic_config_table: topics.into_iter().map(|topic| (topic.topic_name.clone(), topic)).collect(),
                topic_queue_mapping_info_map: mapped.into_iter().map(|(topic, curr_id_map)| {
                    (topic.clone(), TopicQueueMappingInfo { topic, curr_id_map, ..Default::default() })
                }).collect(),
                ..TopicConfigSerializeWrapper::default()
            };
            let body = RegisterBrokerBody { filter_server_list, topic_config_serialize_wrapper: wrapper };
            for compressed in [false, true] {
                let bytes = body.encode(493, compressed).unwrap();
                prop_assert_eq!(&RegisterBrokerBody::decode(&bytes, 493).unwrap(), &body);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = RegisterBrokerBody::decode(&bytes, 493);
            let _ = RegisterBrokerBody::decode(&zlib(&bytes), 493);
        }
    }
}
