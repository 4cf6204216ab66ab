// Turns whatever a call throws into the message that seqfit.h promises.
#pragma once

#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

namespace seqfit {

// strdup, and on a full memory a null that Rust would read as success is avoided by the caller's
// message being short: an allocation of a few bytes failing ends the process either way.
inline char *message(const char *text) { return strdup(text); }

template <typename Body> char *guard(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error &error) {
    // Without the backtrace that what() carries.
    return message(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}

} // namespace seqfit
