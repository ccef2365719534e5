// Shaped arrays, row-major: the last index runs fastest.
//
//   Array<float, 2> x({8, 512});
//   x(0, 3) = 1.0f;
//   std::span<float> row = x.row(0);           // the block under the first index
//   Use(x.view());                             // ArrayView<const float, 2>: pointer and shape
//
// A view does not own its data and must not outlive it.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "cliplens/base/index.h"

namespace cliplens {

template <std::size_t R>
using Shape = std::array<Index, R>;

template <std::size_t R>
constexpr Index NumElements(const Shape<R>& shape) {
  Index n = 1;
  for (Index d : shape) n *= d;
  return n;
}

template <typename T, std::size_t R>
class ArrayView {
 public:
  ArrayView() : shape_{} {}
  ArrayView(T* data, const Shape<R>& shape) : data_(data), shape_(shape) {}
  // A view of mutable data converts to a view of constant data.
  template <typename U>
  requires(std::is_same_v<const U, T>) ArrayView(const ArrayView<U, R>& other)
      : data_(other.data()), shape_(other.shape()) {}

  T* data() const { return data_; }
  const Shape<R>& shape() const { return shape_; }
  Index dim(std::size_t axis) const { return shape_[axis]; }
  Index size() const { return NumElements(shape_); }
  std::span<T> flat() const { return {data_, ToSize(size())}; }

  template <typename... I>
  T& operator()(I... index) const {
    static_assert(sizeof...(I) == R);
    return data_[Offset(std::array<Index, R>{static_cast<Index>(index)...})];
  }

  // All elements under one first index, flat.
  std::span<T> row(Index i) const {
    assert(i >= 0 && i < shape_[0]);
    const Index stride = Stride();
    return {data_ + i * stride, ToSize(stride)};
  }

  // The view under one first index.
  ArrayView<T, R - 1> operator[](Index i) const requires(R > 1) {
    assert(i >= 0 && i < shape_[0]);
    Shape<R - 1> rest;
    for (std::size_t k = 1; k < R; ++k) rest[k - 1] = shape_[k];
    return {data_ + i * Stride(), rest};
  }

  // Rows [begin, end) of the first axis.
  ArrayView<T, R> rows(Index begin, Index end) const {
    assert(begin >= 0 && begin <= end && end <= shape_[0]);
    Shape<R> shape = shape_;
    shape[0] = end - begin;
    return {data_ + begin * Stride(), shape};
  }

 private:
  Index Stride() const {
    Index stride = 1;
    for (std::size_t k = 1; k < R; ++k) stride *= shape_[k];
    return stride;
  }
  Index Offset(const std::array<Index, R>& index) const {
    Index offset = 0;
    for (std::size_t k = 0; k < R; ++k) {
      assert(index[k] >= 0 && index[k] < shape_[k]);
      offset = offset * shape_[k] + index[k];
    }
    return offset;
  }

  T* data_ = nullptr;
  Shape<R> shape_;
};

template <typename T, std::size_t R>
class Array {
 public:
  Array() : shape_{} {}
  explicit Array(const Shape<R>& shape, T value = T())
      : shape_(shape), data_(ToSize(NumElements(shape)), value) {}
  Array(const Shape<R>& shape, std::vector<T> data) : shape_(shape), data_(std::move(data)) {
    assert(static_cast<Index>(data_.size()) == NumElements(shape_));
  }

  ArrayView<T, R> view() { return {data_.data(), shape_}; }
  ArrayView<const T, R> view() const { return {data_.data(), shape_}; }
  operator ArrayView<T, R>() { return view(); }              // NOLINT(google-explicit-constructor)
  operator ArrayView<const T, R>() const { return view(); }  // NOLINT(google-explicit-constructor)

  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  const Shape<R>& shape() const { return shape_; }
  Index dim(std::size_t axis) const { return shape_[axis]; }
  Index size() const { return static_cast<Index>(data_.size()); }
  bool empty() const { return data_.empty(); }
  std::span<T> flat() { return data_; }
  std::span<const T> flat() const { return data_; }

  template <typename... I>
  T& operator()(I... index) {
    return view()(index...);
  }
  template <typename... I>
  const T& operator()(I... index) const {
    return view()(index...);
  }
  std::span<T> row(Index i) { return view().row(i); }
  std::span<const T> row(Index i) const { return view().row(i); }
  ArrayView<T, R> rows(Index begin, Index end) { return view().rows(begin, end); }
  ArrayView<const T, R> rows(Index begin, Index end) const { return view().rows(begin, end); }
  auto operator[](Index i) { return view()[i]; }
  auto operator[](Index i) const { return view()[i]; }

 private:
  Shape<R> shape_;
  std::vector<T> data_;
};

}  // namespace cliplens
