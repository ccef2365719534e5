#include "cliplens/base/memory_reserve.h"

#include <atomic>
#include <cstddef>
#include <exception>
#include <new>

#include <execinfo.h>
#include <sys/mman.h>

namespace cliplens {
namespace {

constexpr std::size_t kReserve = std::size_t{4} << 20;
std::atomic<bool> kept = false;
std::atomic<void*> reserve = nullptr;

void HandleFailedAllocation() {
  if (std::uncaught_exceptions() == 0) throw std::bad_alloc();
  void* const held = reserve.exchange(nullptr);
  if (held == nullptr) throw std::bad_alloc();
  ::munmap(held, kReserve);  // the allocation is tried again
}

}  // namespace

void KeepMemoryReserve() {
  kept = true;
  // glibc loads its unwinder when it first needs it, and ends the process where it cannot.
  void* frame = nullptr;
  (void)::backtrace(&frame, 1);
  RenewMemoryReserve();
  if (reserve == nullptr) throw std::bad_alloc();
  std::set_new_handler(HandleFailedAllocation);
}

void RenewMemoryReserve() {
  if (!kept || reserve != nullptr) return;
  void* const room =
      ::mmap(nullptr, kReserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return;
  void* none = nullptr;
  if (!reserve.compare_exchange_strong(none, room)) ::munmap(room, kReserve);
}

}  // namespace cliplens
