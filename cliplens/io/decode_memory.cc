#include "cliplens/io/decode_memory.h"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>

#include "cliplens/base/error.h"

namespace cliplens {

namespace {

// Shares of all threads. They are given in the order in which they are asked for, so that a large
// picture is not passed over for ever.
struct DecodeShares {
  std::mutex mutex;
  std::condition_variable changed;
  Index used = 0;
  std::uint64_t next_ticket = 0;
  std::uint64_t now_served = 0;
  std::map<std::thread::id, int> held;  // shares by thread
};

DecodeShares& SharesOfAll() {
  static DecodeShares shares;
  return shares;
}

}  // namespace

DecodeMemory::DecodeMemory(Index bytes, const std::string& name)
    : bytes_(bytes), thread_(std::this_thread::get_id()) {
  if (bytes > kMaxDecodeMemory) {
    throw Error(ErrorCode::kExhausted,
                "{}: decoding it takes about {} MB of memory, the limit is {} MB; make the picture "
                "smaller",
                name, bytes >> 20, kMaxDecodeMemory >> 20);
  }
  DecodeShares& shares = SharesOfAll();
  std::unique_lock lock(shares.mutex);
  int& held = shares.held[thread_];
  if (held == 0) {
    const std::uint64_t ticket = shares.next_ticket++;
    shares.changed.wait(lock, [&] {
      return ticket == shares.now_served &&
             (shares.used == 0 || shares.used + bytes <= kDecodeBudget);
    });
    ++shares.now_served;
    shares.changed.notify_all();
  }
  ++held;
  shares.used += bytes;
}

DecodeMemory::~DecodeMemory() {
  DecodeShares& shares = SharesOfAll();
  {
    const std::lock_guard lock(shares.mutex);
    shares.used -= bytes_;
    const auto found = shares.held.find(thread_);
    if (--found->second == 0) shares.held.erase(found);
  }
  shares.changed.notify_all();
}

void DecodeMemory::ShrinkTo(Index bytes) {
  if (bytes >= bytes_) return;
  DecodeShares& shares = SharesOfAll();
  {
    const std::lock_guard lock(shares.mutex);
    shares.used -= bytes_ - bytes;
    bytes_ = bytes;
  }
  shares.changed.notify_all();
}

}  // namespace cliplens
