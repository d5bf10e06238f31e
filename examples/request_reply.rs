//! Asks a question and answers it, in one process.

use std::time::Duration;

use castmq::client::{Client, Message, Outcome, Request, Result, Start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(&nameserver).await?;
    let answering = Client::connect(&nameserver).await?;
    let replier = answering.producer("example-replier").await?;
    let consumer = answering
        .push_consumer("example-answers")
        .subscribe("questions", "*")
        .start_from(Start::Last)
        .await?;
    let answers = tokio::spawn(async move {
        let handler = |message: castmq::client::ReceivedMessage| {
            let replier = replier.clone();
            async move {
                if let Some(question) = Request::of(&message)
                    && let Err(error) = replier.reply(&question, "42").await
                {
                    println!("no reply: {error}");
                }
                Outcome::Done
            }
        };
        consumer.run(handler).await;
    });
    let producer = client.producer("example-asker").await?;
    let reply = producer
        .request(Message::new("questions", "what is six times seven?"), Duration::from_secs(5))
        .await?;
    println!("{}", String::from_utf8_lossy(&reply));
    answers.abort();
    Ok(())
}
