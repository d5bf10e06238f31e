//! The road of a pull up to its queue (fact sheet: remoting 6.1).

use std::{sync::Arc, time::Duration};

use super::Broker;
use crate::{
    actors::{
        remoting::Request,
        store::{
            Refusal,
            queue::{AnswerFlags, Limits, Loads, Most, PullJob, QueueMessage},
        },
    },
    config::{self, BrokerConfig},
    filter::{self, FilterError, SharedFilter},
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Value,
        heartbeat::MessageModel,
        requests::pull::{PullMessageRequest, PullMessageResponse},
        subscription::{EXPRESSION_TAG, SubscriptionGroupConfig},
        topic::{Perm, TopicConfig},
    },
    store::QueueOffset,
};

/// How long a connection waits for a full queue.
const PATIENCE: Duration = Duration::from_millis(200);

/// The longest that a pull is held, in ms, whatever it asks for: who is gone by then holds nothing here.
const LONGEST_HOLD: i64 = 120_000;

/// A refusal, with the reason that the answer names for clients of groups and topics that may not read.
struct Denial {
    refusal: Refusal,
    forbidden: Option<i32>,
}

impl Denial {
    fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { refusal: Refusal { code, remark: remark.into() }, forbidden: None }
    }

    /// NO_PERMISSION, for the given reason.
    fn forbidden(reason: i32, remark: impl Into<String>) -> Self {
        Self { forbidden: Some(reason), ..Self::new(ResponseCode::NO_PERMISSION, remark) }
    }
}

const FORBIDDEN_BROKER: i32 = 1;
const FORBIDDEN_GROUP: i32 = 2;
const FORBIDDEN_TOPIC: i32 = 3;
const FORBIDDEN_BROADCAST: i32 = 4;
const FORBIDDEN_SUBSCRIPTION: i32 = 5;

pub(super) async fn serve(broker: &Arc<Broker>, request: Request) {
    let header = match PullMessageRequest::from_fields(&request.header.fields) {
        Ok(header) => header,
        Err(error) => return request.reply.refuse(ResponseCode::SYSTEM_ERROR, &error.to_string()),
    };
    let is_lite = request.header.request_code() == RequestCode::LITE_PULL_MESSAGE;
    let config = broker.config.get();
    let admitted = match admit(broker, &config, &header, is_lite) {
        Ok(admitted) => admitted,
        Err(Denial { refusal, forbidden }) => {
            let reason = forbidden.map(|reason| ("forbiddenType", Value::from(reason)));
            let answer = request.reply.answer(refusal.code).remark(&refusal.remark);
            return match reason {
                Some(reason) => request.reply.send(answer.fields(reason), Vec::new()),
                None => request.reply.send(answer, Vec::new()),
            };
        }
    };
    let (group, topic, queue_id) = (&*header.consumer_group, &*header.topic, header.queue_id);
    if header.sys_flag.has_commit_offset() && header.commit_offset >= 0 {
        broker.groups.commit_offset(group, topic, queue_id, header.commit_offset);
    }
    if let Some(offset) = broker.groups.take_reset(group, topic, queue_id) {
        return move_to(broker, request, &header, offset, admitted.flags);
    }
    let Ok(queue) = broker.queues.address(topic, queue_id) else {
        return request.reply.refuse(ResponseCode::TOPIC_NOT_EXIST, "no such queue");
    };
    let job = PullJob {
        from: QueueOffset(header.queue_offset),
        group: header.consumer_group.clone(),
        limits: limits(&config, &header, broker.memory),
        filter: admitted.filter,
        hold_until: hold(&config, &header).map(|wait| broker.clock.now() + wait),
        flags: admitted.flags,
        loads: Loads::default(),
        reply: Some(request.reply),
    };
    if let Err(busy) = queue.send(QueueMessage::Pull(job)) {
        let _ = queue.send_within(busy.into_message(), PATIENCE).await;
    }
}

struct Admitted {
    filter: SharedFilter,
    flags: AnswerFlags,
}

/// The refusals, in the order in which RocketMQ makes them.
fn admit(
    broker: &Broker,
    config: &BrokerConfig,
    header: &PullMessageRequest,
    is_lite: bool,
) -> Result<Admitted, Denial> {
    if !Perm(config.broker_permission as i32).is_readable() {
        return Err(Denial::forbidden(FORBIDDEN_BROKER, "the broker pulling message is forbidden"));
    }
    if is_lite && !config.lite_pull_message_enable {
        return Err(Denial::new(ResponseCode::NO_PERMISSION, "the lite pull of this broker is forbidden"));
    }
    let group = broker.topics.group_or_create(&header.consumer_group).ok_or_else(|| {
        let remark = format!("subscription group [{}] does not exist", header.consumer_group);
        Denial::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark)
    })?;
    if !group.consume_enable {
        let remark = format!("subscription group no permission, {}", header.consumer_group);
        return Err(Denial::forbidden(FORBIDDEN_GROUP, remark));
    }
    let topic = broker.topics.get(&header.topic).ok_or_else(|| {
        let remark = format!("topic[{}] not exist, apply first please!", header.topic);
        Denial::new(ResponseCode::TOPIC_NOT_EXIST, remark)
    })?;
    if !topic.perm.is_readable() {
        let remark = format!("the topic[{}] pulling message is forbidden", header.topic);
        return Err(Denial::forbidden(FORBIDDEN_TOPIC, remark));
    }
    if !(0..topic.read_queue_nums).contains(&header.queue_id) {
        let remark = format!(
            "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}]",
            header.queue_id, header.topic, topic.read_queue_nums
        );
        return Err(Denial::new(ResponseCode::INVALID_PARAMETER, remark));
    }
    let filter = filter(broker, config, header, &group)?;
    Ok(Admitted { filter, flags: answer_flags(config, &topic, &group) })
}

fn answer_flags(config: &BrokerConfig, topic: &TopicConfig, group: &SubscriptionGroupConfig) -> AnswerFlags {
    let (usual, when_slow) = match config.slave_read_enable {
        true => (group.broker_id, group.which_broker_when_consume_slowly),
        false => (0, 0),
    };
    AnswerFlags {
        broker_id: usual,
        broker_id_when_slow: when_slow,
        topic: topic.topic_sys_flag,
        group: group.group_sys_flag,
    }
}

/// The filter that comes with the pull, or the registered one.
fn filter(
    broker: &Broker,
    config: &BrokerConfig,
    header: &PullMessageRequest,
    group: &SubscriptionGroupConfig,
) -> Result<SharedFilter, Denial> {
    if header.sys_flag.has_subscription() {
        let expression = header.subscription.as_deref().unwrap_or_default();
        let language = header.expression_type.as_deref();
        return filter::admit(language, expression, config.enable_property_filter)
            .map_err(|error| unfit(&error, error.code()));
    }
    let name = &header.consumer_group;
    let members = broker.groups.live(name).filter(|members| members.is_online()).ok_or_else(|| {
        let remark = format!("the consumer's group info not exist: {name}");
        Denial::new(ResponseCode::SUBSCRIPTION_NOT_EXIST, remark)
    })?;
    if !group.consume_broadcast_enable && members.message_model() == MessageModel::Broadcasting {
        let remark = format!("the consumer group[{name}] can not consume by broadcast way");
        return Err(Denial::forbidden(FORBIDDEN_BROADCAST, remark));
    }
    if broker.topics.is_forbidden(name, &header.topic) {
        let remark = format!("the consumer group[{name}] is forbidden for topic[{}]", header.topic);
        return Err(Denial::forbidden(FORBIDDEN_SUBSCRIPTION, remark));
    }
    let subscription = members.subscription(&header.topic).ok_or_else(|| {
        let remark = format!("the consumer's subscription not exist: {name}, topic: {}", header.topic);
        Denial::new(ResponseCode::SUBSCRIPTION_NOT_EXIST, remark)
    })?;
    if subscription.sub_version < header.sub_version {
        return Err(Denial::new(
            ResponseCode::SUBSCRIPTION_NOT_LATEST,
            "the consumer's subscription not latest",
        ));
    }
    let (language, expression) = (&*subscription.expression_type, &*subscription.sub_string);
    if matches!(language, "" | EXPRESSION_TAG) {
        return filter::parse(None, expression).map_err(|error| unfit(&error, error.code()));
    }
    let Some((version, filter)) = broker.groups.filter(name, &header.topic) else {
        let remark = "The broker's consumer filter data is not exist!Your expression may be wrong!";
        let reason = filter::parse(Some(language), expression).err().map(|error| format!(" {error}"));
        let remark = format!("{remark}{}", reason.unwrap_or_default());
        return Err(Denial::new(ResponseCode::FILTER_DATA_NOT_EXIST, remark));
    };
    if version < header.sub_version {
        let remark = "the consumer's consumer filter data not latest";
        return Err(Denial::new(ResponseCode::FILTER_DATA_NOT_LATEST, remark));
    }
    match config.enable_property_filter {
        true => Ok(filter),
        false => {
            let error = FilterError::Disabled(language.to_owned());
            Err(unfit(&error, error.code()))
        }
    }
}

/// The refusal of an expression; the words before the reason are RocketMQ's.
fn unfit(error: &FilterError, code: ResponseCode) -> Denial {
    let remark = match code {
        ResponseCode::SUBSCRIPTION_PARSE_FAILED => {
            format!("parse the consumer's subscription failed: {error}")
        }
        _ => error.to_string(),
    };
    Denial::new(code, remark)
}

/// How long the pull may be held, in ms; `None` when it may not.
fn hold(config: &BrokerConfig, header: &PullMessageRequest) -> Option<i64> {
    if !header.sys_flag.may_suspend() {
        return None;
    }
    let wait = header.suspend_timeout_millis.clamp(0, LONGEST_HOLD);
    let short = i64::try_from(config.short_polling_time_mills.0).unwrap_or(i64::MAX);
    Some(if config.long_polling_enable { wait } else { short })
}

/// How much the pull gets at most, on a machine with so many bytes of memory.
fn limits(config: &BrokerConfig, header: &PullMessageRequest, memory: u64) -> Limits {
    let messages = usize::try_from(header.max_msg_nums).unwrap_or(0).max(1);
    let bytes = header.max_msg_bytes.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
    let most = |count: u32, size: config::Bytes| Most {
        messages: messages.min(count as usize).max(1),
        bytes: bytes.unwrap_or(usize::MAX).min(size.len()),
    };
    let near = memory / 100 * config.access_message_in_memory_max_ratio.0;
    Limits {
        from_memory: most(
            config.max_transfer_count_on_message_in_memory,
            config.max_transfer_bytes_on_message_in_memory,
        ),
        from_disk: most(
            config.max_transfer_count_on_message_in_disk,
            config.max_transfer_bytes_on_message_in_disk,
        ),
        near: usize::try_from(near).unwrap_or(usize::MAX),
    }
}

/// Sends the consumer to the offset that an operator has set.
fn move_to(broker: &Broker, request: Request, header: &PullMessageRequest, offset: i64, flags: AnswerFlags) {
    let state = broker.store.queues().get(&header.topic, header.queue_id);
    let (min, max) = state.map_or((0, 0), |state| (state.min_offset().0, state.dispatched_next().0));
    let fields = PullMessageResponse {
        suggest_which_broker_id: flags.broker_id,
        next_begin_offset: offset,
        min_offset: min,
        max_offset: max,
        offset_delta: None,
        topic_sys_flag: Some(flags.topic),
        group_sys_flag: Some(flags.group),
        forbidden_type: None,
    };
    let answer = request.reply.answer(ResponseCode::PULL_OFFSET_MOVED).remark("OFFSET_RESET").fields(fields);
    request.reply.send(answer, Vec::new());
}
