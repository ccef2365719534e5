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

// kF8E4M3 has no infinity (PyTorch's float8_e4m3fn), kF8E5M2 is the upper byte of a half.
enum class DataType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool
};
Index SizeOf(DataType type);
const char* NameOf(DataType type);  // "F32", as safetensors has it
std::optional<DataType> DataTypeNamed(std::string_view name);
bool IsFloating(DataType type);
std::string FloatingTypes();  // "F64, F32, F16, ...", for messages

// Bytes of a tensor, multiplied in the order of its axes; nothing when an axis is negative or the
// product does not fit 63 bits.
std::optional<Index> BytesOf(std::span<const Index> shape, DataType type);
std::string ShapeText(std::span<const Index> shape);  // "[768, 512]"

float HalfToFloat(std::uint16_t bits);
float E4M3ToFloat(std::uint8_t bits);
float E5M2ToFloat(std::uint8_t bits);
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
template <typename Bits, float (*kToFloat)(Bits)>
struct CodedElement {
  static constexpr std::size_t kBytes = sizeof(Bits);
  static float Load(const std::uint8_t* at) { return kToFloat(LoadAs<Bits>(at)); }
};

// Calls `use` with the PlainElement or CodedElement of a type.
template <typename Use>
void VisitType(DataType type, const Use& use) {
  switch (type) {
    case DataType::kF64:
      return use(PlainElement<double>());
    case DataType::kF32:
      return use(PlainElement<float>());
    case DataType::kF16:
      return use(CodedElement<std::uint16_t, HalfToFloat>());
    case DataType::kBF16:
      return use(CodedElement<std::uint16_t, BFloat16ToFloat>());
    case DataType::kF8E4M3:
      return use(CodedElement<std::uint8_t, E4M3ToFloat>());
    case DataType::kF8E5M2:
      return use(CodedElement<std::uint8_t, E5M2ToFloat>());
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
