//! Sends messages that become visible only if the local transaction ends well.

use castmq::client::{
    Client, Message, Receipt, ReceivedMessage, Result, TransactionListener, TransactionState,
};

/// Books even amounts, refuses odd ones.
struct Bank;

impl TransactionListener for Bank {
    async fn execute(&self, message: &Message, _receipt: &Receipt) -> TransactionState {
        match message.body().last() {
            Some(digit) if digit % 2 == 0 => TransactionState::Commit,
            _ => TransactionState::Rollback,
        }
    }

    async fn check(&self, half: &ReceivedMessage) -> TransactionState {
        println!("the broker asks for {}", half.id());
        TransactionState::Commit
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let producer = client.producer("example-bank").transactional(Bank).await?;
    for amount in 0..4 {
        let (receipt, state) = producer.send(Message::new("example", amount.to_string())).await?;
        println!("{}: {state:?}", receipt.message_id);
    }
    producer.shutdown().await;
    Ok(())
}
