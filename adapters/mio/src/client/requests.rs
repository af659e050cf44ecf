//! What an application asks for, waiting for the answer or not.

use wampd_core::{
    client::ClientEvent,
    id::{PublicationId, RegistrationId, RequestId, SubscriptionId},
    message::{
        CallOptions, CallResult, CancelMode, Payload, PublishOptions, RegisterOptions, ResultDetails, SubscribeOptions,
        YieldOptions,
    },
    uri::Uri,
};

use super::{Client, Error};

/// Why an answer is of the type that is waited for: to the core another one is a violation that ends the session.
const MATCHED: &str = "the core matches answers with the types of their requests";

/// Requests that wait for the answer. Whatever else arrives meanwhile is kept for [`next_event`](Client::next_event).
///
/// How long they wait is set by [`ClientLimits::request_timeout`](wampd_core::client::ClientLimits::request_timeout), which
/// is for ever by default; that the router is gone is noticed by the pings of the transport. Errors are those of [`Error`].
impl Client {
    /// Calls a procedure and waits for its result.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn call(
        &mut self,
        procedure: impl Into<Uri>,
        options: CallOptions,
        payload: Payload,
    ) -> Result<CallResult, Error> {
        self.call_with_progress(procedure, options, payload, |_, _| {})
    }

    /// Calls a procedure, gives each progressive result to `progress`, and waits for the final one.
    /// [`CallOptions::receive_progress`] is to be set.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn call_with_progress(
        &mut self,
        procedure: impl Into<Uri>,
        options: CallOptions,
        payload: Payload,
        progress: impl FnMut(ResultDetails, Payload),
    ) -> Result<CallResult, Error> {
        let request = self.send_call(procedure, options, payload)?;
        let ClientEvent::Result { request, details, payload } = self.driver.wait_for_answer(request, progress)? else {
            unreachable!("{MATCHED}")
        };
        Ok(CallResult { request, details, payload })
    }

    /// Publishes an event. With [`acknowledge`](PublishOptions::acknowledge) it waits until the router has accepted it and
    /// gives its id, without it gives `None` at once.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn publish(
        &mut self,
        topic: impl Into<Uri>,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<Option<PublicationId>, Error> {
        let acknowledge = options.acknowledge;
        let request = self.send_publish(topic, options, payload)?;
        if !acknowledge {
            return Ok(None);
        }
        let ClientEvent::Published { publication, .. } = self.driver.wait_for_answer(request, |_, _| {})? else {
            unreachable!("{MATCHED}")
        };
        Ok(Some(publication))
    }

    /// Subscribes to a topic. Its events come out of [`next_event`](Self::next_event).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn subscribe(&mut self, topic: impl Into<Uri>, options: SubscribeOptions) -> Result<SubscriptionId, Error> {
        let request = self.send_subscribe(topic, options)?;
        let ClientEvent::Subscribed { subscription, .. } = self.driver.wait_for_answer(request, |_, _| {})? else {
            unreachable!("{MATCHED}")
        };
        Ok(subscription)
    }

    /// Ends a subscription. Events that arrived before may still come out of [`next_event`](Self::next_event).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) -> Result<(), Error> {
        let request = self.send_unsubscribe(subscription)?;
        self.driver.wait_for_answer(request, |_, _| {}).map(|_| ())
    }

    /// Registers a procedure. Its invocations come out of [`next_event`](Self::next_event).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn register(&mut self, procedure: impl Into<Uri>, options: RegisterOptions) -> Result<RegistrationId, Error> {
        let request = self.send_register(procedure, options)?;
        let ClientEvent::Registered { registration, .. } = self.driver.wait_for_answer(request, |_, _| {})? else {
            unreachable!("{MATCHED}")
        };
        Ok(registration)
    }

    /// Ends a registration. Invocations that arrived before still come out of [`next_event`](Self::next_event) and are to be
    /// answered.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn unregister(&mut self, registration: RegistrationId) -> Result<(), Error> {
        let request = self.send_unregister(registration)?;
        self.driver.wait_for_answer(request, |_, _| {}).map(|_| ())
    }
}

/// Requests that do not wait: their answers come out of [`next_event`](Client::next_event), with the same request id. They
/// are sent at once, unless more than [`Options::max_pending`](super::Options::max_pending) bytes wait to be written.
impl Client {
    /// Calls a procedure; answered by [`ClientEvent::Result`], with `receive_progress` possibly several, or
    /// [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_call(
        &mut self,
        procedure: impl Into<Uri>,
        options: CallOptions,
        payload: Payload,
    ) -> Result<RequestId, Error> {
        self.driver.request(|core, now| core.call(now, procedure.into(), options, payload))
    }

    /// Publishes an event; with `acknowledge` answered by [`ClientEvent::Published`] or [`ClientEvent::Failed`], without it
    /// by nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_publish(
        &mut self,
        topic: impl Into<Uri>,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<RequestId, Error> {
        self.driver.request(|core, now| core.publish(now, topic.into(), options, payload))
    }

    /// Subscribes to a topic; answered by [`ClientEvent::Subscribed`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_subscribe(&mut self, topic: impl Into<Uri>, options: SubscribeOptions) -> Result<RequestId, Error> {
        self.driver.request(|core, now| core.subscribe(now, topic.into(), options))
    }

    /// Ends a subscription; answered by [`ClientEvent::Unsubscribed`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_unsubscribe(&mut self, subscription: SubscriptionId) -> Result<RequestId, Error> {
        self.driver.request(|core, now| core.unsubscribe(now, subscription))
    }

    /// Registers a procedure; answered by [`ClientEvent::Registered`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_register(&mut self, procedure: impl Into<Uri>, options: RegisterOptions) -> Result<RequestId, Error> {
        self.driver.request(|core, now| core.register(now, procedure.into(), options))
    }

    /// Ends a registration; answered by [`ClientEvent::Unregistered`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_unregister(&mut self, registration: RegistrationId) -> Result<RequestId, Error> {
        self.driver.request(|core, now| core.unregister(now, registration))
    }

    /// Asks for a call to be canceled. The call is answered as any other: by an error, or by a result that was faster.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn cancel(&mut self, call: RequestId, mode: Option<CancelMode>) -> Result<(), Error> {
        self.driver.answer(|core| core.cancel(call, mode))
    }

    /// Answers [`ClientEvent::Invocation`] with a result: the only one, unless `options.progress`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn yield_result(
        &mut self,
        invocation: RequestId,
        options: YieldOptions,
        payload: Payload,
    ) -> Result<(), Error> {
        self.driver.answer(|core| core.yield_result(invocation, options, payload))
    }

    /// Answers [`ClientEvent::Invocation`] with an error.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn yield_error(&mut self, invocation: RequestId, error: impl Into<Uri>, payload: Payload) -> Result<(), Error> {
        self.driver.answer(|core| core.yield_error(invocation, error.into(), payload))
    }
}
