//! The cases: what each connection asks, and from when to when it counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::meter::{Measured, Meter, Outcome, watch};
use super::wire::{Wire, remark, taken};
use super::{Common, Fault, Pull, Send, Wake};
use crate::protocol::batch::BatchBody;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::frame::Frame;
use crate::protocol::record::records;
use crate::protocol::requests::pull::{PullFlags, PullMessageRequest};
use crate::protocol::requests::send::SendMessageRequest;

/// By how many windows an answer may overtake another one.
const OVERTAKING: usize = 16;
/// How long a held pull waits before it is asked anew.
const HOLD: Duration = Duration::from_secs(1);
/// How long messages may be on their way after the last one was sent.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn send(args: &Send) -> Result<Outcome, Fault> {
    Wire::connect(&args.common)?.ensure_topic(&args.common)?;
    watch("send", args.connections as usize, |number, meter, began| {
        let mut wire = Wire::connect(&args.common)?;
        let mut requests = send_requests(&wire, &args.common, args.size, args.batch)?;
        let first = number % requests.len();
        requests.rotate_left(first);
        match args.rate {
            Some(rate) => send_paced(&mut wire, &mut requests, args, rate, number, (meter, began)),
            None => send_window(&mut wire, &mut requests, args, meter, began),
        }
    })
}

/// One request for each queue; only its number changes from send to send.
fn send_requests(wire: &Wire, common: &Common, size: usize, batch: u32) -> Result<Vec<Frame>, Fault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let message = vec![b'x'; size];
    // As clients send it. The number is the same in all: the broker does not compare them.
    let properties = format!("UNIQ_KEY\u{1}7F000001{:024X}\u{2}WAIT\u{1}true\u{2}", now);
    let (code, body) = if batch == 1 {
        (RequestCode::SEND_MESSAGE_V2, Bytes::from(message))
    } else {
        let mut body = BatchBody::new();
        (0..batch).try_for_each(|_| body.push(0, &message, properties.as_bytes()))?;
        (RequestCode::SEND_BATCH_MESSAGE, body.finish())
    };
    let of_queue = |queue_id| {
        let request = SendMessageRequest {
            producer_group: "castmq-bench".into(),
            topic: common.topic.as_str().into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id,
            sys_flag: 0,
            born_timestamp: i64::try_from(now).unwrap_or_default(),
            flag: 0,
            properties: Some(properties.as_str().into()),
            reconsume_times: Some(0),
            unit_mode: false,
            max_reconsume_times: None,
            batch: batch > 1,
            broker_name: None,
        };
        let fields = crate::protocol::fields::Fields::of(&request.compact());
        Frame { header: wire.header(code, fields), body: body.clone() }
    };
    Ok((0..common.queues).map(of_queue).collect())
}

/// Keeps so many requests in flight.
fn send_window(
    wire: &mut Wire,
    requests: &mut [Frame],
    args: &Send,
    meter: &Meter,
    began: Instant,
) -> Result<(), Fault> {
    let end = began + args.common.time();
    let window = args.in_flight as usize;
    // When the request with this number was sent. Answers may overtake each other, if not by so much.
    let places = (window * OVERTAKING).next_power_of_two();
    let mut sent = vec![began; places];
    let (mut number, mut flying) = (0usize, 0usize);
    loop {
        let now = Instant::now();
        while flying < window && now < end {
            let queue = number % requests.len();
            let (Some(request), Some(at)) = (requests.get_mut(queue), sent.get_mut(number % places)) else {
                return Ok(());
            };
            request.header.opaque = number as i32;
            wire.put(request)?;
            *at = now;
            (number, flying) = (number.wrapping_add(1), flying + 1);
        }
        if flying == 0 {
            return Ok(());
        }
        wire.write()?;
        wire.wait()?;
        let now = Instant::now();
        let mut measured = meter.lock();
        while let Some(answer) = wire.arrived()? {
            if !answer.header.is_response() {
                continue;
            }
            flying = flying.saturating_sub(1);
            let at = sent.get(answer.header.opaque as u32 as usize % places).copied().unwrap_or(now);
            count_send(&mut measured, &answer, args, now - at);
        }
    }
}

/// One request at a time, each at its time; a late one counts from when it was due.
fn send_paced(
    wire: &mut Wire,
    requests: &mut [Frame],
    args: &Send,
    rate: u32,
    number: usize,
    (meter, began): (&Meter, Instant),
) -> Result<(), Fault> {
    for round in 0u64.. {
        let nth = round * u64::from(args.connections) + number as u64;
        let due = Duration::from_secs_f64(nth as f64 / f64::from(rate));
        if due >= args.common.time() {
            break;
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let queue = round as usize % requests.len();
        let Some(request) = requests.get_mut(queue) else { break };
        let answer = wire.call(request)?;
        count_send(&mut meter.lock(), &answer, args, began.elapsed().saturating_sub(due));
    }
    Ok(())
}

fn count_send(measured: &mut Measured, answer: &Frame, args: &Send, took: Duration) {
    match answer.header.response_code() {
        ResponseCode::SUCCESS => {
            measured.count(u64::from(args.batch), u64::from(args.batch) * args.size as u64);
            measured.took(took);
        }
        code => measured.refused(code, &remark(answer)),
    }
}

pub(super) fn pull(args: &Pull) -> Result<Outcome, Fault> {
    watch("pull", args.connections as usize, |number, meter, began| {
        let mut wire = Wire::connect(&args.common)?;
        let end = began + args.common.time();
        let own = (0..args.common.queues).skip(number).step_by(args.connections as usize);
        let mut queues: Vec<(i32, i64)> = own.map(|queue| (queue, 0)).collect();
        while !queues.is_empty() {
            let mut left = Vec::with_capacity(queues.len());
            for (queue, from) in queues {
                let asked = Instant::now();
                if asked >= end {
                    return Ok(());
                }
                let request = pull_request(&wire, &args.common, (queue, from), args.messages, None);
                let answer = wire.call(&request)?;
                let took = asked.elapsed();
                let next = answer.header.fields.number("nextBeginOffset").unwrap_or(from);
                let mut measured = meter.lock();
                match answer.header.response_code() {
                    ResponseCode::SUCCESS => {
                        let messages = records(&answer.body).count() as u64;
                        measured.count(messages, answer.body.len() as u64);
                        measured.took(took);
                        left.push((queue, next));
                    }
                    // Goes on elsewhere: old messages are deleted, or none here is wanted.
                    ResponseCode::PULL_RETRY_IMMEDIATELY | ResponseCode::PULL_OFFSET_MOVED
                        if next != from =>
                    {
                        left.push((queue, next));
                    }
                    ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_OFFSET_MOVED => {}
                    code => measured.refused(code, &remark(&answer)),
                }
            }
            queues = left;
        }
        Ok(())
    })
}

fn pull_request(
    wire: &Wire,
    common: &Common,
    (queue_id, from): (i32, i64),
    messages: i32,
    hold: Option<Duration>,
) -> Frame {
    let suspend = if hold.is_some() { PullFlags::SUSPEND } else { 0 };
    let request = PullMessageRequest {
        consumer_group: "castmq-bench".into(),
        topic: common.topic.as_str().into(),
        queue_id,
        queue_offset: from,
        max_msg_nums: messages,
        sys_flag: PullFlags(PullFlags::SUBSCRIPTION | suspend),
        commit_offset: 0,
        suspend_timeout_millis: hold.map_or(0, |hold| hold.as_millis() as i64),
        subscription: Some("*".into()),
        sub_version: 0,
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
        broker_name: None,
    };
    wire.header(RequestCode::PULL_MESSAGE, request).into()
}

/// The first connection sends, the second waits at the queue. A body begins with when it was sent.
pub(super) fn wake(args: &Wake) -> Result<Outcome, Fault> {
    let common = &args.common;
    let mut wire = Wire::connect(common)?;
    wire.ensure_topic(common)?;
    let first = wire.max_offset(&common.topic)?;
    let all = u64::from(args.rate) * common.seconds;
    let sent = AtomicU64::new(0);
    watch("wake", 2, |number, meter, began| {
        let mut wire = Wire::connect(common)?;
        if number == 1 {
            return receive(&mut wire, common, first, (all, &sent), (meter, began));
        }
        let mut request = send_requests(&wire, common, args.size, 1)?.swap_remove(0);
        for nth in 0..all {
            let due = Duration::from_secs_f64(nth as f64 / f64::from(args.rate));
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            let mut body = (began.elapsed().as_nanos() as u64).to_be_bytes().to_vec();
            body.resize(args.size.max(body.len()), b'x');
            request.body = body.into();
            taken("send", &wire.call(&request)?)?;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })
}

fn receive(
    wire: &mut Wire,
    common: &Common,
    first: i64,
    (all, sent): (u64, &AtomicU64),
    (meter, began): (&Meter, Instant),
) -> Result<(), Fault> {
    let (mut from, mut received) = (first, 0);
    let end = began + common.time() + GRACE;
    while received < all && Instant::now() < end {
        let answer = wire.call(&pull_request(wire, common, (0, from), 32, Some(HOLD)))?;
        let now = began.elapsed();
        from = answer.header.fields.number("nextBeginOffset").unwrap_or(from);
        let mut measured = meter.lock();
        for record in records(&answer.body).flatten() {
            if let Some(sent) = record.body.first_chunk() {
                measured.took(now.saturating_sub(Duration::from_nanos(u64::from_be_bytes(*sent))));
            }
            measured.count(1, record.body.len() as u64);
            received += 1;
        }
    }
    for _ in received..sent.load(Ordering::Relaxed) {
        meter.lock().refused(ResponseCode::PULL_NOT_FOUND, "sent, but never received");
    }
    Ok(())
}
