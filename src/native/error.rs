//! The error of libtorch and of allocations around it, which knows whether memory was too little.

/// An error from libtorch, cut to its first line: its messages continue with a backtrace or with the content
/// of a whole tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct LibtorchError(String, Cause);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Memory,
    Other,
}

impl LibtorchError {
    pub(super) fn new(message: &str) -> Self {
        let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        let memory = ["can't allocate memory", "out of memory", "not enough memory", "bad_alloc"];
        if memory.iter().any(|words| line.contains(words)) {
            let cure = "use fewer units or a smaller batch";
            return Self(format!("{}: {cure}", shortage(line)), Cause::Memory);
        }
        let mut end = line.len().min(300);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        Self(line[..end].trim().to_owned(), Cause::Other)
    }

    /// Creates an error for something other than libtorch that has no error type in this module.
    pub(crate) fn other(message: &str) -> Self {
        Self::new(message)
    }

    /// Creates the error for a thread outside libtorch that could not be started.
    pub(crate) fn thread(error: &std::io::Error) -> Self {
        Self::new(&format!("a thread cannot be started: {error}"))
    }

    /// Creates the error for an allocation outside libtorch that failed.
    pub(crate) fn memory(bytes: usize) -> Self {
        Self::new(&format!("not enough memory to allocate {bytes} bytes"))
    }

    /// Returns whether the cause was too little memory.
    pub fn is_out_of_memory(&self) -> bool {
        self.1 == Cause::Memory
    }
}

/// Shortens "DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes. Error code 12 …" and
/// "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …".
fn shortage(message: &str) -> String {
    // The CPU's message contains "allocate" twice, CUDA's once; the amount follows the one before a number.
    let amount = message.split("allocate ").skip(1).find_map(|after| {
        let words: Vec<&str> = after.split_whitespace().take(2).collect();
        let number = words.first()?.starts_with(|c: char| c.is_ascii_digit());
        number.then(|| words.join(" ").trim_end_matches('.').to_owned())
    });
    let whose = if message.contains("CUDA") { "GPU " } else { "" };
    match amount {
        Some(amount) => format!("not enough {whose}memory for {amount} more"),
        None => format!("not enough {whose}memory"),
    }
}

impl From<tch::TchError> for LibtorchError {
    fn from(error: tch::TchError) -> Self {
        match error {
            tch::TchError::Torch(message) => Self::new(&message),
            other => Self::new(&other.to_string()),
        }
    }
}

impl From<std::ffi::NulError> for LibtorchError {
    fn from(_: std::ffi::NulError) -> Self {
        Self::new("a name or path must not hold a NUL character")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_to_their_first_line() {
        assert_eq!(LibtorchError::new("\nshape mismatch\nframe #0: …").0, "shape mismatch");
        assert_eq!(LibtorchError::new(&"ä".repeat(1000)).0.len(), 300);
    }

    #[test]
    fn out_of_memory_messages_are_short() {
        let cpu = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate \
                   memory: you tried to allocate 1600 bytes. Error code 12 (Cannot allocate memory)";
        let cuda =
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 4";
        let cure = ": use fewer units or a smaller batch";
        for (message, said) in [
            (cpu, "not enough memory for 1600 bytes more"),
            (cuda, "not enough GPU memory for 2.00 GiB more"),
            ("out of memory", "not enough memory"),
        ] {
            assert_eq!(LibtorchError::new(message).0, format!("{said}{cure}"));
        }
    }
}
