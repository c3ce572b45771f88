//! Lets go of all that a lost connection leaves behind in the client library.

use rumqttc::EventLoop;

/// Forgets what was heard and what was to be sent on a connection that is lost; call it when `poll` returns an error.
///
/// The client keeps both for the next connection, where they mean something else: an acknowledgement that was read together
/// with the end would be taken for one of a packet that has the same id by then, and a message acknowledged by its old id
/// could be another one's. A publish that waited for a packet id would keep everything behind it from being sent.
pub fn forget_connection(events: &mut EventLoop) {
    events.clean();
    events.pending.clear();
    events.state.collision = None;
    events.state.events.clear();
}
