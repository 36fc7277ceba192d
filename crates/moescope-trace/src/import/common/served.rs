//! Requests of one server on their way to the sink.

use moescope_core::ModelSpec;

use super::{
    routed::Request,
    sink::{Facts, Imported, Sink, Stop},
};
use crate::ExpertsOrder;

/// What has been learnt of the server so far.
pub(crate) struct Served<'m> {
    engine: &'static str,
    model: &'m ModelSpec,
    /// The model's name in the latest reply.
    pub(crate) model_name: Option<String>,
    /// The engine's version in the latest reply.
    pub(crate) version: Option<String>,
    /// The model's name of the first reply, once there was one.
    began: Option<Option<String>>,
}

impl<'m> Served<'m> {
    pub(crate) fn new(engine: &'static str, model: &'m ModelSpec) -> Self {
        Self {
            engine,
            model,
            model_name: None,
            version: None,
            began: None,
        }
    }

    /// Hands one request on as a document.
    pub(crate) fn deliver(
        &mut self,
        at: &str,
        id: String,
        request: Result<Request, String>,
        sink: &mut dyn Sink,
    ) -> Result<(), Stop> {
        let content = match request.and_then(|request| request.into_content(self.model)) {
            Ok(content) => content,
            Err(what) => {
                sink.problem(at, format!("sample '{id}': {what}"));
                return Ok(());
            }
        };
        match &mut self.began {
            None => {
                self.began = Some(self.model_name.clone());
                sink.begin(Facts {
                    model: self.model.clone(),
                    layers: None,
                    experts_order: ExpertsOrder::Unspecified,
                    engine: self.engine,
                    engine_version: self.version.clone(),
                    checkpoint: self.model_name.clone(),
                    is_profiles_only: false,
                    derived: Vec::new(),
                })?;
            }
            Some(Some(first)) if self.model_name.as_ref().is_some_and(|name| name != first) => {
                sink.problem(
                    at,
                    format!(
                        "sample '{id}' is of model {}, earlier ones of {first}; import them one by one",
                        self.model_name.as_deref().unwrap_or_default()
                    ),
                );
                return Ok(());
            }
            Some(first) => *first = first.take().or_else(|| self.model_name.clone()),
        }
        sink.document(Imported {
            at: at.to_owned(),
            id,
            discipline: None,
            content,
        })
    }
}
