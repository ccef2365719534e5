// What the fuzz targets share. A target is one source that hands any bytes to one reader:
//
//   #include "fuzz/fuzz.h"
//   CLIPLENS_FUZZ_TARGET(npy) {
//     const cliplens::fuzz::Scratch scratch;
//     cliplens::fuzz::Guard([&] { (void)cliplens::ReadNpy(scratch.Write("x.npy", input)); });
//   }
//
// In fuzz/npy.cc; its seeds lie in fuzz/corpus/npy. `make fuzz` links each target with libFuzzer
// (clang, address and undefined-behaviour sanitizers), the tests link all of them into fuzz_replay,
// which runs the seeds once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/error.h"

namespace cliplens::fuzz {

using Target = void (*)(std::span<const std::uint8_t> input);

// The targets that are linked in, by name.
std::map<std::string, Target>& Targets();

struct Registration {
  Registration(const char* name, Target target) { Targets().emplace(name, target); }
};

#define CLIPLENS_FUZZ_TARGET(name)                                                          \
  static void FuzzTarget_##name(std::span<const std::uint8_t> input);                       \
  static const cliplens::fuzz::Registration registration_##name(#name, &FuzzTarget_##name); \
  static void FuzzTarget_##name(std::span<const std::uint8_t> input)

inline std::string_view AsText(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Ends the process unless the message is one that a terminal can be given: not empty, one line,
// UTF-8 without control characters, at most 4,096 bytes.
void CheckMessage(const Error& error);

// Whether a reader took any part of the input. Seeds that a change of format has left behind would
// go unnoticed otherwise.
bool& Accepted();

// Runs `body`. An Error may leave it, and the rest of the input is then of no use: false. Anything
// else that leaves it ends the process, which is a finding.
template <typename Body>
bool Guard(Body&& body) {
  try {
    body();
    Accepted() = true;
    return true;
  } catch (const Error& error) {
    CheckMessage(error);
    return false;
  }
}

// A directory for the files of one input; they are removed at the end of it. The directory itself
// is kept for the next input, which is what makes this fast.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const;
  std::filesystem::path Write(const std::string& name, std::span<const std::uint8_t> bytes) const;
  std::filesystem::path Write(const std::string& name, std::string_view text) const;
};

// An input for readers of several files. Each part begins with a line "--- NAME"; parts of other
// names than `names` are left out, of two with one name the last counts.
std::map<std::string, std::string> SplitParts(std::span<const std::uint8_t> input,
                                              std::initializer_list<std::string_view> names);

}  // namespace cliplens::fuzz
