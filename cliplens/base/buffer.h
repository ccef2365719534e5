// Scratch memory that is kept between calls. It is aligned to a cache line, never shrinks, and is
// not initialised.
//
//   Buffer<float> scratch;
//   float* row = scratch.Grow(768);   // the same memory in the next call
//   Use(row);
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

#include "cliplens/base/array.h"

namespace cliplens {

template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(Index size) { Grow(size); }
  ~Buffer() { Free(); }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      Free();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }

  // Makes room for at least `size` elements. Their values are lost if the memory moves. Returns
  // data().
  T* Grow(Index size) {
    if (size > size_) {
      Free();
      data_ = static_cast<T*>(::operator new (ToSize(size) * sizeof(T), std::align_val_t{kAlign}));
      size_ = size;
    }
    return data_;
  }
  T* data() const { return data_; }

 private:
  static constexpr std::size_t kAlign = 64;
  void Free() {
    ::operator delete (data_, std::align_val_t{kAlign});
    data_ = nullptr;
    size_ = 0;
  }

  T* data_ = nullptr;
  Index size_ = 0;
};

}  // namespace cliplens
