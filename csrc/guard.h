// Turns whatever a call throws into the message that seqfit.h promises.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

namespace seqfit {

// Null would mean success: without memory for a short text nothing can go on.
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
    // Without the backtrace that what() carries.
    return message(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}

} // namespace seqfit
