// One budget of memory for decoding, over all threads.
//
//   DecodeMemory memory(3 * width * height, name);  // waits until so much is free
//   memory.ShrinkTo(pixels);                        // what stays when the decoder is done
//
// A picture that needs more than the budget is decoded alone. A thread that holds a share already
// does not wait for another, so threads never wait for each other.
#pragma once

#include <string>
#include <thread>

#include "cliplens/base/array.h"

namespace cliplens {

// What all pictures together may take while they are decoded, if each takes less.
inline constexpr Index kDecodeBudget = Index{2} << 30;

// What one picture may take.
inline constexpr Index kMaxDecodeMemory = Index{4} << 30;

// A share of the budget, given back at the end.
class DecodeMemory {
 public:
  // Waits until `bytes` are free. Throws Error(kExhausted), which names the picture `name`, above
  // kMaxDecodeMemory.
  DecodeMemory(Index bytes, const std::string& name);
  ~DecodeMemory();
  DecodeMemory(const DecodeMemory&) = delete;
  DecodeMemory& operator=(const DecodeMemory&) = delete;

  // Gives back all but `bytes`; nothing if that is more than it has.
  void ShrinkTo(Index bytes);

 private:
  Index bytes_;
  std::thread::id thread_;
};

}  // namespace cliplens
