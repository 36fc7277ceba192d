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
    /// Whether a request was handed on.
    has_begun: bool,
    /// The model's name in the first reply that had one.
    first_name: Option<String>,
}

impl<'m> Served<'m> {
    pub(crate) fn new(engine: &'static str, model: &'m ModelSpec) -> Self {
        Self {
            engine,
            model,
            model_name: None,
            version: None,
            has_begun: false,
            first_name: None,
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
        if let (Some(first), Some(name)) = (&self.first_name, &self.model_name)
            && first != name
        {
            sink.problem(
                at,
                format!("sample '{id}' is of model {name}, earlier ones of {first}; import them one by one"),
            );
            return Ok(());
        }
        if !self.has_begun {
            self.has_begun = true;
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
        self.first_name = self.first_name.take().or_else(|| self.model_name.clone());
        sink.document(Imported {
            at: at.to_owned(),
            id,
            discipline: None,
            content,
        })
    }
}
