//! A built model in this process: loaded, and called through the functions of the shim. All `unsafe` code of the
//! bridge is here.
#![allow(unsafe_code)] // the foreign-function edge: a shared library that the bridge itself has built

use super::source::words;
use super::tools::ToolError;
use crate::SimulatorError;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use xnorforge_hdl::emit::{Port, PortDirection};

/// Bytes for the reason why an instance could not be made.
const REASON_BYTES: usize = 1024;

/// The functions of `shim.cpp`, with its types.
struct Functions {
    new: unsafe extern "C" fn(u32, *mut c_char, usize) -> *mut c_void,
    delete: unsafe extern "C" fn(*mut c_void),
    eval: unsafe extern "C" fn(*mut c_void) -> c_int,
    message: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    set: unsafe extern "C" fn(*mut c_void, u32, *const u64),
    get: unsafe extern "C" fn(*mut c_void, u32, *mut u64),
    trace_open: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    trace_dump: unsafe extern "C" fn(*mut c_void, u64) -> c_int,
    trace_close: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// A loaded shared library; the functions are valid as long as it is there.
struct Loaded {
    functions: Functions,
    ports: Vec<Port>,
    path: PathBuf,
    _library: libloading::Library,
}

/// A Verilated design: loaded and ready to be started any number of times. Clones share it.
#[derive(Clone)]
pub struct Library(Arc<Loaded>);

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.0.path).finish()
    }
}

impl Library {
    /// Loads a shared library that this bridge has built for these ports.
    pub(super) fn load(path: &Path, ports: Vec<Port>) -> Result<Self, ToolError> {
        let error = |e: libloading::Error| ToolError::Load {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        // SAFETY: loading runs the initializers of Verilator's run-time library and of the generated model, which
        // this bridge has compiled (the cache has checked the file's digest); they set up static variables of their
        // own and touch nothing else. The default is local loading, so no other library sees its symbols.
        let library = unsafe { libloading::Library::new(path) }.map_err(error)?;
        // SAFETY: `shim.cpp`, whose text is part of the library's key, defines these functions with these types.
        // The pointers stay valid since `Loaded` keeps the library.
        let functions = unsafe {
            Functions {
                new: *library.get(b"xnf_new").map_err(error)?,
                delete: *library.get(b"xnf_delete").map_err(error)?,
                eval: *library.get(b"xnf_eval").map_err(error)?,
                message: *library.get(b"xnf_message").map_err(error)?,
                set: *library.get(b"xnf_set").map_err(error)?,
                get: *library.get(b"xnf_get").map_err(error)?,
                trace_open: *library.get(b"xnf_trace_open").map_err(error)?,
                trace_dump: *library.get(b"xnf_trace_dump").map_err(error)?,
                trace_close: *library.get(b"xnf_trace_close").map_err(error)?,
            }
        };
        Ok(Library(Arc::new(Loaded {
            functions,
            ports,
            path: path.to_owned(),
            _library: library,
        })))
    }

    /// The ports, in the order in which [`VerilatedModel::set`] and [`VerilatedModel::get`] number them.
    pub fn ports(&self) -> &[Port] {
        &self.0.ports
    }

    /// The shared library's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// A new instance. Its inputs are 0 and its registers hold random values that depend on `seed` alone.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when the model cannot be constructed.
    pub fn start(&self, seed: u32) -> Result<VerilatedModel, SimulatorError> {
        // Verilator takes 0 for "choose a seed" and refuses negative numbers.
        let seed = seed % 0x7fff_ffff + 1;
        let mut reason = [0u8; REASON_BYTES];
        // SAFETY: `reason` is writable for the length given, and the shim ends what it writes there with a zero.
        let instance =
            unsafe { (self.0.functions.new)(seed, reason.as_mut_ptr().cast(), REASON_BYTES) };
        let Some(instance) = NonNull::new(instance) else {
            let end = reason.iter().position(|b| *b == 0).unwrap_or(0);
            let reason = String::from_utf8_lossy(&reason[..end]).into_owned();
            return Err(SimulatorError::Rtl(reason));
        };
        let mut model = VerilatedModel {
            instance,
            library: self.0.clone(),
            stopped: None,
        };
        model.clear_inputs();
        Ok(model)
    }
}

/// One running instance of a Verilated design.
pub struct VerilatedModel {
    instance: NonNull<c_void>,
    library: Arc<Loaded>,
    /// Set once the model has stopped: it must not be evaluated any more.
    stopped: Option<String>,
}

// SAFETY: an instance owns all of its state (Verilator's context included), and `&mut self` keeps every call to it
// on one thread at a time. What the run-time library keeps in thread-local and static variables, the shim sets
// before each call that may read it, under a lock where threads share it.
unsafe impl Send for VerilatedModel {}

impl fmt::Debug for VerilatedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerilatedModel")
            .field("path", &self.library.path)
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

impl VerilatedModel {
    /// The ports, in the order of their numbers.
    pub fn ports(&self) -> &[Port] {
        &self.library.ports
    }

    /// The number of a port.
    pub fn port(&self, name: &str) -> Option<usize> {
        self.library.ports.iter().position(|p| p.name == name)
    }

    /// Drives every input to 0. Newer versions of Verilator give inputs random values too.
    fn clear_inputs(&mut self) {
        for port in 0..self.ports().len() {
            if self.ports()[port].direction == PortDirection::Input {
                let zeros = vec![0; words(&self.ports()[port])];
                self.set(port, &zeros);
            }
        }
    }

    /// Drives an input: bit 0 of the port in bit 0 of the first word. Bits past the port's width are ignored.
    ///
    /// # Panics
    /// If there is no such port, or `value` is not exactly `width.div_ceil(64)` words long.
    #[inline]
    pub fn set(&mut self, port: usize, value: &[u64]) {
        assert_eq!(value.len(), words(&self.library.ports[port]));
        // SAFETY: the instance is alive; the port exists, and the shim reads exactly that many words.
        unsafe {
            (self.library.functions.set)(self.instance.as_ptr(), port as u32, value.as_ptr());
        }
    }

    /// Reads a port. Bits past its width are 0.
    ///
    /// # Panics
    /// If there is no such port, or `value` is not exactly `width.div_ceil(64)` words long.
    #[inline]
    pub fn get(&self, port: usize, value: &mut [u64]) {
        assert_eq!(value.len(), words(&self.library.ports[port]));
        // SAFETY: the instance is alive; the port exists, and the shim writes exactly that many words.
        unsafe {
            (self.library.functions.get)(self.instance.as_ptr(), port as u32, value.as_mut_ptr());
        }
    }

    /// The value of a port of at most 64 bits.
    #[inline]
    pub(super) fn word(&self, port: usize) -> u64 {
        let mut word = [0];
        self.get(port, &mut word);
        word[0]
    }

    /// Lets the values at the inputs take effect, clock edges included.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when the Verilog calls `$stop`, `$finish` or `$fatal` or does not settle; the model
    /// has then ended, and every later call gives the same error.
    #[inline]
    pub fn eval(&mut self) -> Result<(), SimulatorError> {
        if let Some(reason) = &self.stopped {
            return Err(SimulatorError::Rtl(reason.clone()));
        }
        // SAFETY: the instance is alive and has not stopped.
        let status = unsafe { (self.library.functions.eval)(self.instance.as_ptr()) };
        if status == 0 {
            return Ok(());
        }
        let reason = self.message();
        self.stopped = Some(reason.clone());
        Err(SimulatorError::Rtl(reason))
    }

    /// Begins a waveform (VCD). The library must have been built with [`Tracing::Vcd`](super::Tracing::Vcd).
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] without tracing in the build, or when the file cannot be written.
    pub fn trace_open(&mut self, path: &Path) -> Result<(), SimulatorError> {
        let text = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| {
            SimulatorError::Rtl(format!("the path {} holds a zero byte", path.display()))
        })?;
        // SAFETY: the instance is alive; the text ends with a zero and outlives the call.
        let status =
            unsafe { (self.library.functions.trace_open)(self.instance.as_ptr(), text.as_ptr()) };
        self.check(status)
    }

    /// Writes the present values into the waveform, if one is open; `time` rises from call to call.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when Verilator cannot write.
    pub fn trace_dump(&mut self, time: u64) -> Result<(), SimulatorError> {
        // SAFETY: the instance is alive.
        let status = unsafe { (self.library.functions.trace_dump)(self.instance.as_ptr(), time) };
        self.check(status)
    }

    /// Ends the waveform and completes its file. Also happens when the model is dropped.
    ///
    /// # Errors
    /// [`SimulatorError::Rtl`] when Verilator cannot write.
    pub fn trace_close(&mut self) -> Result<(), SimulatorError> {
        // SAFETY: the instance is alive.
        let status = unsafe { (self.library.functions.trace_close)(self.instance.as_ptr()) };
        self.check(status)
    }

    fn check(&self, status: c_int) -> Result<(), SimulatorError> {
        match status {
            0 => Ok(()),
            _ => Err(SimulatorError::Rtl(self.message())),
        }
    }

    /// Why the last call failed.
    fn message(&self) -> String {
        // SAFETY: the instance is alive; the text ends with a zero, stands until the next call, and is copied here.
        let text =
            unsafe { CStr::from_ptr((self.library.functions.message)(self.instance.as_ptr())) };
        text.to_string_lossy().into_owned()
    }
}

impl Drop for VerilatedModel {
    fn drop(&mut self) {
        // SAFETY: the instance is alive, and nothing uses it afterwards; `library` is dropped after this.
        unsafe { (self.library.functions.delete)(self.instance.as_ptr()) };
    }
}
