//! Somebody who means no harm: connected from before an attack, and served after it.

use std::net::SocketAddr;

use crate::wire::{Client, Connect, Packet, Publish, Subscribe, Version};

const TOPIC: &str = "dt/ward/neighbour/readings";

pub(crate) struct Neighbour {
    address: SocketAddr,
    client: Client,
    count: u16,
}

impl Neighbour {
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let mut client = Client::connect_to(address, Connect::v5("neighbour").keep_alive(0)).await;
        assert_eq!(client.subscribe_with(Subscribe::new(TOPIC, 1)).await, [1]);
        Self { address, client, count: 0 }
    }

    /// Publishes, is acknowledged and gets the message; so does somebody who connects only now.
    pub(crate) async fn is_served(&mut self) {
        self.count += 1;
        let payload = self.count.to_string();
        self.client.post(&Publish::new(TOPIC, payload.clone()).qos1(self.count)).await;
        let (mut acknowledged, mut delivered) = (false, false);
        while !(acknowledged && delivered) {
            match self.client.packet().await {
                Packet::PubAck { pkid, code: 0, .. } if pkid == self.count => acknowledged = true,
                Packet::Publish(message) if message.payload == payload => {
                    self.client.send(&crate::wire::build::ack(0x40, message.pkid)).await;
                    delivered = true;
                }
                other => panic!("{other:?}"),
            }
        }
        for version in [Version::V311, Version::V5] {
            let newcomer = Connect::new(version, "newcomer");
            let mut newcomer = Client::connect_to(self.address, newcomer).await;
            newcomer.subscribe("cmd/newcomer", 0).await;
            newcomer.publish(Publish::new("cmd/newcomer", "hello").qos2(1)).await;
            assert_eq!(newcomer.message().await.payload, "hello");
            newcomer.disconnect().await;
        }
    }
}
