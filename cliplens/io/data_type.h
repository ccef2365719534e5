// The number types of tensor files, and the conversion of their elements to C++ numbers.
//
//   const std::uint8_t one[] = {0x00, 0x3C};
//   VisitType(DataType::kF16, [&](auto element) { Print(element.Load(one)); });
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cliplens/base/array.h"

namespace cliplens {

enum class DataType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };
Index SizeOf(DataType type);
const char* NameOf(DataType type);  // "F32", as safetensors has it
std::optional<DataType> DataTypeNamed(std::string_view name);
bool IsFloating(DataType type);  // F64, F32, F16 or BF16

// Bytes of a tensor, multiplied in the order of its axes; nothing when an axis is negative or the
// product does not fit 63 bits.
std::optional<Index> BytesOf(std::span<const Index> shape, DataType type);
std::string ShapeText(std::span<const Index> shape);  // "[768, 512]"

float HalfToFloat(std::uint16_t bits);
float BFloat16ToFloat(std::uint16_t bits);
std::uint16_t FloatToHalf(float value);  // nearest, ties to even

// The little-endian value at `at`, which need not be aligned.
template <typename T>
T LoadAs(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// Elements of a file: their size in bytes, and one of them as a C++ number.
template <typename T>
struct PlainElement {
  static constexpr std::size_t kBytes = sizeof(T);
  static T Load(const std::uint8_t* at) { return LoadAs<T>(at); }
};
template <float (*kToFloat)(std::uint16_t)>
struct HalfElement {
  static constexpr std::size_t kBytes = 2;
  static float Load(const std::uint8_t* at) { return kToFloat(LoadAs<std::uint16_t>(at)); }
};

// Calls `use` with the PlainElement or HalfElement of a type.
template <typename Use>
void VisitType(DataType type, const Use& use) {
  switch (type) {
    case DataType::kF64:
      return use(PlainElement<double>());
    case DataType::kF32:
      return use(PlainElement<float>());
    case DataType::kF16:
      return use(HalfElement<HalfToFloat>());
    case DataType::kBF16:
      return use(HalfElement<BFloat16ToFloat>());
    case DataType::kI64:
      return use(PlainElement<std::int64_t>());
    case DataType::kI32:
      return use(PlainElement<std::int32_t>());
    case DataType::kI16:
      return use(PlainElement<std::int16_t>());
    case DataType::kI8:
      return use(PlainElement<std::int8_t>());
    case DataType::kU8:
    case DataType::kBool:
      return use(PlainElement<std::uint8_t>());
  }
}

}  // namespace cliplens
