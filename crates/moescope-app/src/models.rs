//! Models in memory, shared by whatever runs them: what fits once may not fit twice.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use moescope_engine::{Checkpoint, ComputeDevice, DeviceChoice, EngineError, LoadOptions};
use moescope_pipeline::{
    LoadedModel, PassSize, PipelineError, check_memory, check_memory_of_loaded,
};

use crate::choices::CaptureChoice;

/// What a model was asked for as. Where all of it agrees, it is the same one in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelKey {
    /// Its name, as the user gave it.
    pub(crate) name: String,
    /// Where it shall run.
    pub(crate) device: DeviceChoice,
    /// How it is loaded.
    pub(crate) options: LoadOptions,
}

impl ModelKey {
    /// The model of generations, which is loaded as usual.
    pub(crate) fn of_live(name: &str, device: DeviceChoice) -> Self {
        Self {
            name: name.to_owned(),
            device,
            options: LoadOptions::default(),
        }
    }

    /// The model of a capture; on the device `usual` where none was chosen.
    ///
    /// # Errors
    /// When what was typed is no device.
    pub(crate) fn of_capture(
        choice: &CaptureChoice,
        usual: DeviceChoice,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            name: choice.model.clone(),
            device: choice.device_choice(usual)?,
            options: choice.load_options(),
        })
    }
}

/// The models in memory; cheap to clone, and the same for all threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Models(Arc<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    /// Held while a model is loaded, so that what wants the same one waits for it.
    turn: Mutex<()>,
    /// Held for moments only, so that a frame can ask.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// The models that something holds.
    held: Vec<(ModelKey, Weak<LoadedModel>)>,
    /// One that stays though nothing runs it, because it is likely to be wanted again.
    kept: Option<(ModelKey, Arc<LoadedModel>)>,
}

impl Models {
    /// The model, as something holds it already, or loaded. One that is merely kept goes before another is loaded.
    ///
    /// # Errors
    /// Those of `load`.
    pub(crate) fn get_or_load<E>(
        &self,
        key: &ModelKey,
        load: impl FnOnce() -> Result<LoadedModel, E>,
    ) -> Result<Arc<LoadedModel>, E> {
        let _turn = locked(&self.0.turn);
        if let Some(model) = self.held(key) {
            return Ok(model);
        }
        let kept = locked(&self.0.table).kept.take();
        drop(kept);
        let model = Arc::new(load()?);
        let mut table = locked(&self.0.table);
        table.held.retain(|(_, held)| held.strong_count() > 0);
        table.held.push((key.clone(), Arc::downgrade(&model)));
        Ok(model)
    }

    fn held(&self, key: &ModelKey) -> Option<Arc<LoadedModel>> {
        let table = locked(&self.0.table);
        let mut alike = table.held.iter().filter(|(held, _)| held == key);
        alike.find_map(|(_, model)| model.upgrade())
    }

    /// Keeps a model in memory until it is let go, in place of the last one.
    pub(crate) fn keep(&self, key: ModelKey, model: Arc<LoadedModel>) {
        let before = locked(&self.0.table).kept.replace((key, model));
        drop(before);
    }

    /// Refuses a model that cannot fit, before it is loaded; a warning where it will be slow. One that is merely kept
    /// gives its memory back first, and one that is in memory needs none for its weights.
    ///
    /// # Errors
    /// As [`check_memory`].
    pub(crate) fn check_memory(
        &self,
        key: &ModelKey,
        checkpoint: &Checkpoint,
        device: &ComputeDevice,
        pass: &PassSize,
    ) -> Result<Option<String>, PipelineError> {
        drop(self.take_others(key));
        let weights = key.options.weights;
        if self.held(key).is_some() {
            check_memory_of_loaded(checkpoint, device, weights, pass)
        } else {
            check_memory(checkpoint, device, weights, pass)
        }
    }

    /// Whether a model is kept.
    pub(crate) fn keeps_one(&self) -> bool {
        locked(&self.0.table).kept.is_some()
    }

    /// Keeps no model any more; one that something runs stays with that.
    pub(crate) fn let_go(&self) {
        let kept = locked(&self.0.table).kept.take();
        give_back(kept);
    }

    /// Keeps no model but this one.
    pub(crate) fn let_go_of_others(&self, key: &ModelKey) {
        give_back(self.take_others(key));
    }

    /// The model that is kept, unless it is this one.
    fn take_others(&self, key: &ModelKey) -> Option<(ModelKey, Arc<LoadedModel>)> {
        let mut table = locked(&self.0.table);
        table.kept.take_if(|(kept, _)| *kept != *key)
    }
}

/// Frees a model on a thread of its own, for a large one takes longer than a frame.
fn give_back(kept: Option<(ModelKey, Arc<LoadedModel>)>) {
    if let Some(kept) = kept {
        thread::spawn(move || drop(kept));
    }
}

/// What is in a mutex; a thread that failed while it held it had not begun to change it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use moescope_core::NoProgress;
    use moescope_pipeline::{ModelFiles, ModelFolder};

    use super::*;

    fn key(device: DeviceChoice) -> ModelKey {
        ModelKey::of_live("demo", device)
    }

    fn load() -> Result<LoadedModel, PipelineError> {
        let files = ModelFiles::open(ModelFolder::find("demo", None)?)?;
        let device = ComputeDevice::open(DeviceChoice::Cpu)?;
        files.load(device, LoadOptions::default(), &NoProgress)
    }

    fn not_again() -> Result<LoadedModel, PipelineError> {
        panic!("it is in memory already")
    }

    /// Waits until a model is gone, which another thread frees.
    fn wait_until_gone(model: &Weak<LoadedModel>) {
        while model.strong_count() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_model_that_something_holds_is_not_loaded_again() {
        let models = Models::default();
        let own = models.get_or_load(&key(DeviceChoice::Cpu), load).unwrap();
        let same = models.clone();
        let same = same.get_or_load(&key(DeviceChoice::Cpu), not_again);
        assert!(Arc::ptr_eq(&own, &same.unwrap()));
        // Elsewhere it is another one, and so it is with other weights.
        let other = models.get_or_load(&key(DeviceChoice::Auto), load).unwrap();
        assert!(!Arc::ptr_eq(&own, &other));
        let untrained = ModelKey {
            options: LoadOptions {
                untrained_routers: Some(1),
                ..LoadOptions::default()
            },
            ..key(DeviceChoice::Cpu)
        };
        let untrained = models.get_or_load(&untrained, load).unwrap();
        assert!(!Arc::ptr_eq(&own, &untrained));
    }

    #[test]
    fn a_kept_model_stays_until_another_is_wanted() {
        let models = Models::default();
        let wanted = key(DeviceChoice::Cpu);
        let keep = || {
            let model = models.get_or_load(&wanted, load).unwrap();
            let watched = Arc::downgrade(&model);
            models.keep(wanted.clone(), model);
            watched
        };
        let kept = keep();
        models.let_go_of_others(&wanted);
        assert!(models.keeps_one() && kept.strong_count() == 1);
        let taken = models.get_or_load(&wanted, not_again).unwrap();
        models.let_go();
        assert!(!models.keeps_one());
        // What runs it still has it.
        drop(taken);
        wait_until_gone(&kept);
        // Before another is loaded it has gone.
        let kept = keep();
        let other = models.get_or_load(&key(DeviceChoice::Auto), || {
            assert_eq!(kept.strong_count(), 0);
            load()
        });
        drop(other.unwrap());
        // Before another is weighed, too; and it is not in its own way.
        let kept = keep();
        let files = ModelFiles::open(ModelFolder::find("demo", None).unwrap()).unwrap();
        let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
        let weigh = |key: &ModelKey| {
            let pass = PassSize::prefill(1);
            models.check_memory(key, &files.checkpoint, &device, &pass)
        };
        assert_eq!(weigh(&wanted).unwrap(), None);
        assert_eq!(kept.strong_count(), 1);
        assert_eq!(weigh(&key(DeviceChoice::Auto)).unwrap(), None);
        assert_eq!(kept.strong_count(), 0);
        let kept = keep();
        models.let_go_of_others(&key(DeviceChoice::Auto));
        assert!(!models.keeps_one());
        wait_until_gone(&kept);
    }
}
