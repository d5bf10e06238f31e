//! Topics, groups, offsets and messages, as the tools see them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Error, MessageQueue, ReceivedMessage, Result, core::Core, error::AnsweredBy, received};
use crate::protocol::{
    cluster::{ClusterInfo, GroupList, TopicList},
    codes::{RequestCode, ResponseCode},
    connection::{ConsumerConnection, ProducerConnection},
    json,
    message_id::OffsetMessageId,
    offsets::ResetOffsetBody,
    requests::{
        client::{
            ConsumeDirectlyRequest, ConsumerGroupRequest, ConsumerRunningInfoRequest, ProducerGroupRequest,
        },
        group::DeleteSubscriptionGroupRequest,
        message::{QueryMessageRequest, ViewMessageRequest},
        offset::ResetOffsetRequest,
        stats::ConsumeStatsRequest,
        topic::{CreateTopicRequest, DeleteTopicFromNamesrvRequest, TopicRequest},
    },
    route::{MASTER_ID, TopicRouteData},
    stats::{ConsumeStats, TopicStatsTable},
    subscription::SubscriptionGroupConfig,
    topic::{AUTO_CREATE, Perm, TopicFilterType, validate_topic},
};

/// How long a question may take that a broker passes on to a client.
const RELAYED: Duration = Duration::from_secs(12);
/// Largest number of messages that a search gives.
const MAX_FOUND: i32 = 64;

/// A topic to be made.
///
/// ```
/// use castmq::client::Topic;
/// use castmq::protocol::topic::Perm;
/// let topic = Topic::new("orders").queues(4).ordered().attributes("+message.type=FIFO");
/// let closed = Topic::new("orders").perm(Perm::READ);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    name: String,
    read_queues: i32,
    write_queues: i32,
    perm: Perm,
    order: bool,
    attributes: Option<String>,
}

impl Topic {
    /// A topic with 8 queues on each broker, to read and write.
    pub fn new(name: impl Into<String>) -> Self {
        let (name, perm) = (name.into(), Perm::READ_WRITE);
        Self { name, read_queues: 8, write_queues: 8, perm, order: false, attributes: None }
    }

    /// How many queues it has on each broker.
    pub fn queues(self, queues: u16) -> Self {
        let queues = i32::from(queues.max(1));
        Self { read_queues: queues, write_queues: queues, ..self }
    }

    /// What may be done with it.
    pub fn perm(self, perm: Perm) -> Self {
        Self { perm, ..self }
    }

    /// Keeps its order when a broker is down: no other takes its messages.
    pub fn ordered(self) -> Self {
        Self { order: true, ..self }
    }

    /// Changes attributes, as `+message.type=FIFO,-cleanup.policy`.
    pub fn attributes(self, changes: impl Into<String>) -> Self {
        Self { attributes: Some(changes.into()), ..self }
    }
}

/// Administration. Clones are the same.
///
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use castmq::client::Topic;
/// let admin = client.admin();
/// admin.create_topic(Topic::new("orders").queues(4)).await?;
/// println!("{:?} of {:?}", admin.route("orders").await?.queue_datas, admin.topics().await?);
/// println!("read by {:?}", admin.groups_of("orders").await?);
/// for (queue, progress) in admin.consume_stats("billing", "orders").await?.offset_table {
///     println!("{queue:?}: {progress:?} within {:?}", admin.extent(&queue).await?);
/// }
/// for message in admin.find("orders", "42").await? {
///     println!("{:?}", admin.message(&message.offset_id()).await?.body());
/// }
/// admin.reset_offsets("billing", "orders", 0, true).await?;
///
/// let broker = "10.0.0.7:10911";
/// println!("{:?}", admin.producers(broker, "shop").await?);
/// for member in admin.consumers(broker, "billing").await?.connection_set {
///     println!("{}", admin.running_info(broker, "billing", &member.client_id).await?);
///     println!("{}", admin.consume_directly("billing", &member.client_id, "0A00000700002A9F0000000000000040").await?);
/// }
/// admin.create_group(&castmq::protocol::subscription::SubscriptionGroupConfig::new("billing")).await?;
/// admin.delete_group("billing", true).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    core: Arc<Core>,
}

impl Admin {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// All brokers and clusters.
    ///
    /// # Errors
    /// As all of these: no nameserver, no broker, or a refusal.
    pub async fn clusters(&self) -> Result<ClusterInfo> {
        let answer = self.core.routes.ask(&self.core.pool, RequestCode::GET_BROKER_CLUSTER_INFO, &()).await?;
        json::from_slice(&answer.body).answered_by(NAMESERVER)
    }

    /// All topics that the nameservers know.
    ///
    /// # Errors
    /// As [`Admin::clusters`].
    pub async fn topics(&self) -> Result<BTreeSet<String>> {
        let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        let answer = self.core.routes.ask(&self.core.pool, code, &()).await?;
        let answer = super::core::succeeded(NAMESERVER, answer)?;
        json::from_slice::<TopicList>(&answer.body).answered_by(NAMESERVER).map(|it| it.topic_list)
    }

    /// Where a topic lies.
    ///
    /// # Errors
    /// [`Error::Route`] for an unknown topic; else as [`Admin::clusters`].
    pub async fn route(&self, topic: &str) -> Result<TopicRouteData> {
        Ok(self.core.routes.update(&self.core.pool, topic).await?.data.clone())
    }

    /// Makes a topic on every master, or changes it there.
    ///
    /// # Errors
    /// As [`Admin::clusters`]; what was changed on the brokers before stays.
    pub async fn create_topic(&self, topic: Topic) -> Result<()> {
        validate_topic(&topic.name)
            .map_err(|error| Error::config(format!("topic {:?}: {error}", topic.name)))?;
        let request = CreateTopicRequest {
            topic: topic.name.as_str().into(),
            default_topic: Some(AUTO_CREATE.into()),
            read_queue_nums: topic.read_queues,
            write_queue_nums: topic.write_queues,
            perm: topic.perm.0,
            topic_filter_type: Some(TopicFilterType::SingleTag.as_str().into()),
            topic_sys_flag: 0,
            order: topic.order,
            attributes: Some(topic.attributes.unwrap_or_default().into()),
            force: false,
        };
        for address in self.masters().await? {
            self.core.call(&address, RequestCode::UPDATE_AND_CREATE_TOPIC, &request, vec![]).await?;
        }
        Ok(())
    }

    /// Removes a topic from every master and every nameserver.
    ///
    /// # Errors
    /// As [`Admin::clusters`].
    pub async fn delete_topic(&self, topic: &str) -> Result<()> {
        let request = TopicRequest { topic: topic.into() };
        for address in self.masters().await? {
            self.core.call(&address, RequestCode::DELETE_TOPIC_IN_BROKER, &request, vec![]).await?;
        }
        let request = DeleteTopicFromNamesrvRequest { topic: topic.into(), cluster_name: None };
        for address in self.core.routes.nameservers() {
            self.core.call(address, RequestCode::DELETE_TOPIC_IN_NAMESRV, &request, vec![]).await?;
        }
        Ok(())
    }

    /// Makes a consumer group on every master, or changes it there.
    ///
    /// # Errors
    /// As [`Admin::clusters`].
    pub async fn create_group(&self, group: &SubscriptionGroupConfig) -> Result<()> {
        let body = json::to_vec(group)?;
        let code = RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        for address in self.masters().await? {
            self.core.call(&address, code, &(), body.clone()).await?;
        }
        Ok(())
    }

    /// Removes a consumer group from every master, with its progress if so told.
    ///
    /// # Errors
    /// As [`Admin::clusters`].
    pub async fn delete_group(&self, group: &str, with_offsets: bool) -> Result<()> {
        let request = DeleteSubscriptionGroupRequest { group_name: group.into(), clean_offset: with_offsets };
        for address in self.masters().await? {
            self.core.call(&address, RequestCode::DELETE_SUBSCRIPTIONGROUP, &request, vec![]).await?;
        }
        Ok(())
    }

    /// The extent of each queue of a topic.
    ///
    /// # Errors
    /// As [`Admin::route`].
    pub async fn topic_stats(&self, topic: &str) -> Result<TopicStatsTable> {
        let request = TopicRequest { topic: topic.into() };
        let mut all = TopicStatsTable::default();
        for address in self.masters_of(topic).await? {
            let answer =
                self.core.call(&address, RequestCode::GET_TOPIC_STATS_INFO, &request, vec![]).await?;
            let stats: TopicStatsTable = json::from_slice(&answer.body).answered_by(&address)?;
            all.offset_table.extend(stats.offset_table);
            all.topic_put_tps += stats.topic_put_tps;
        }
        Ok(all)
    }

    /// How far a group is in each queue of a topic.
    ///
    /// # Errors
    /// As [`Admin::route`].
    pub async fn consume_stats(&self, group: &str, topic: &str) -> Result<ConsumeStats> {
        let request =
            ConsumeStatsRequest { consumer_group: group.into(), topic: Some(topic.into()), topic_list: None };
        let mut all = ConsumeStats::default();
        for address in self.masters_of(topic).await? {
            let answer = self.core.call(&address, RequestCode::GET_CONSUME_STATS, &request, vec![]).await?;
            let stats: ConsumeStats = json::from_slice(&answer.body).answered_by(&address)?;
            all.offset_table.extend(stats.offset_table);
            all.consume_tps += stats.consume_tps;
        }
        Ok(all)
    }

    /// The groups that consume a topic.
    ///
    /// # Errors
    /// As [`Admin::route`].
    pub async fn groups_of(&self, topic: &str) -> Result<BTreeSet<String>> {
        let request = TopicRequest { topic: topic.into() };
        let mut groups = BTreeSet::new();
        for address in self.masters_of(topic).await? {
            let answer =
                self.core.call(&address, RequestCode::QUERY_TOPIC_CONSUME_BY_WHO, &request, vec![]).await?;
            groups.extend(json::from_slice::<GroupList>(&answer.body).answered_by(&address)?.group_list);
        }
        Ok(groups)
    }

    /// Who is online in a consumer group, as a broker knows it.
    ///
    /// # Errors
    /// As [`Admin::clusters`]; [`ResponseCode::CONSUMER_NOT_ONLINE`] when nobody is.
    pub async fn consumers(&self, broker_address: &str, group: &str) -> Result<ConsumerConnection> {
        let request = ConsumerGroupRequest { consumer_group: group.into() };
        let code = RequestCode::GET_CONSUMER_CONNECTION_LIST;
        let answer = self.core.call(broker_address, code, &request, vec![]).await?;
        json::from_slice(&answer.body).answered_by(broker_address)
    }

    /// Who is online in a producer group, as a broker knows it.
    ///
    /// # Errors
    /// As [`Admin::clusters`].
    pub async fn producers(&self, broker_address: &str, group: &str) -> Result<ProducerConnection> {
        let request = ProducerGroupRequest { producer_group: group.into() };
        let code = RequestCode::GET_PRODUCER_CONNECTION_LIST;
        let answer = self.core.call(broker_address, code, &request, vec![]).await?;
        json::from_slice(&answer.body).answered_by(broker_address)
    }

    /// What a consumer says of itself, as JSON: queues, subscriptions, settings.
    ///
    /// # Errors
    /// As [`Admin::clusters`]; a refusal when that client is not online.
    pub async fn running_info(&self, broker_address: &str, group: &str, client_id: &str) -> Result<String> {
        let request = ConsumerRunningInfoRequest {
            consumer_group: group.into(),
            client_id: client_id.into(),
            jstack_enable: false,
        };
        let code = RequestCode::GET_CONSUMER_RUNNING_INFO;
        let answer = self.core.call(broker_address, code, &request, vec![]).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Lets a consumer consume a message out of turn; gives the outcome as JSON.
    ///
    /// # Errors
    /// As [`Admin::running_info`]; [`Error::Config`] for what is no offset message id.
    pub async fn consume_directly(
        &self,
        group: &str,
        client_id: &str,
        offset_message_id: &str,
    ) -> Result<String> {
        let id: OffsetMessageId = offset_message_id
            .parse()
            .map_err(|error| Error::config(format!("{offset_message_id}: {error}")))?;
        let request = ConsumeDirectlyRequest {
            consumer_group: group.into(),
            client_id: Some(client_id.into()),
            msg_id: Some(offset_message_id.into()),
            broker_name: None,
            topic: None,
            topic_sys_flag: None,
            group_sys_flag: None,
        };
        let code = RequestCode::CONSUME_MESSAGE_DIRECTLY;
        let address = id.host.to_string();
        let answer = self.core.call_within(&address, code, &request, vec![], RELAYED).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Sets a group back, or forward when `force`d, to the messages stored at a time (ms since 1970; -1 for the
    /// end); gives the new offsets.
    ///
    /// # Errors
    /// As [`Admin::route`].
    pub async fn reset_offsets(
        &self,
        group: &str,
        topic: &str,
        timestamp: i64,
        force: bool,
    ) -> Result<Vec<(MessageQueue, i64)>> {
        let request = ResetOffsetRequest {
            group: group.into(),
            topic: topic.into(),
            queue_id: -1,
            offset: Some(-1),
            timestamp,
            force,
        };
        let mut offsets = Vec::new();
        for address in self.masters_of(topic).await? {
            let code = RequestCode::INVOKE_BROKER_TO_RESET_OFFSET;
            let answer = self.core.call(&address, code, &request, vec![]).await?;
            let body: ResetOffsetBody = json::from_slice(&answer.body).answered_by(&address)?;
            offsets.extend(body.offset_table);
        }
        Ok(offsets)
    }

    /// The first offset of a queue, and the one behind its last message.
    ///
    /// # Errors
    /// As [`Admin::route`].
    pub async fn extent(&self, queue: &MessageQueue) -> Result<std::ops::Range<i64>> {
        self.core.routes.route(&self.core.pool, &queue.topic).await?;
        Ok(self.core.min_offset(queue).await?..self.core.max_offset(queue).await?)
    }

    /// The message that lies where an offset message id says.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no such id; a refusal when nothing is there any more.
    pub async fn message(&self, offset_message_id: &str) -> Result<ReceivedMessage> {
        let id: OffsetMessageId = offset_message_id
            .parse()
            .map_err(|error| Error::config(format!("{offset_message_id}: {error}")))?;
        let address = id.host.to_string();
        let request = ViewMessageRequest { topic: None, offset: id.offset };
        let answer = self.core.call(&address, RequestCode::VIEW_MESSAGE_BY_ID, &request, vec![]).await?;
        let found = received::messages(&answer.body, "").map_err(|error| Error::protocol(&address, error))?;
        found.into_iter().next().ok_or_else(|| Error::protocol(&address, "an answer without a message"))
    }

    /// Messages of a topic with a key, or with a unique id in place of one, newest last.
    ///
    /// # Errors
    /// As [`Admin::route`].
    pub async fn find(&self, topic: &str, key: &str) -> Result<Vec<ReceivedMessage>> {
        let request = QueryMessageRequest {
            topic: topic.into(),
            key: key.into(),
            max_num: MAX_FOUND,
            begin_timestamp: 0,
            end_timestamp: i64::MAX,
            index_type: None,
            last_key: None,
            unique_key_query: None,
        };
        let mut found = Vec::new();
        for address in self.masters_of(topic).await? {
            match self.core.call(&address, RequestCode::QUERY_MESSAGE, &request, vec![]).await {
                Ok(answer) => found.extend(
                    received::messages(&answer.body, "").map_err(|error| Error::protocol(&address, error))?,
                ),
                Err(error) if error.code() == Some(ResponseCode::QUERY_NOT_FOUND) => {}
                Err(error) => return Err(error),
            }
        }
        // The index knows hashes only.
        found.retain(|message| message.keys().any(|known| known == key) || message.id() == key);
        found.sort_by_key(ReceivedMessage::stored_at);
        Ok(found)
    }

    /// Addresses of all masters.
    async fn masters(&self) -> Result<Vec<String>> {
        let brokers = self.clusters().await?.broker_addr_table;
        Ok(brokers.into_values().filter_map(|mut broker| broker.broker_addrs.remove(&MASTER_ID)).collect())
    }

    /// Addresses of the masters that hold a topic.
    async fn masters_of(&self, topic: &str) -> Result<Vec<String>> {
        let brokers = self.route(topic).await?.broker_datas;
        Ok(brokers.into_iter().filter_map(|mut broker| broker.broker_addrs.remove(&MASTER_ID)).collect())
    }
}

/// How errors name whichever nameserver answered.
const NAMESERVER: &str = "a nameserver";
