// Turns any exception that a call throws into the message that seqfit.h promises.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

namespace seqfit {

// Returning null would mean success. Without memory for a short text the process cannot continue.
inline char *message(const char *text) {
  char *copy = strdup(text);
  if (copy == nullptr) {
    std::abort();
  }
  return copy;
}

template <typename Body> char *guard(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error &error) {
    // what() would also carry the backtrace.
    return message(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}

} // namespace seqfit
