#include "cliplens/io/data_type.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in files");

struct TypeInfo {
  DataType type;
  const char* name;
  Index size;
};

constexpr TypeInfo kDataTypes[] = {
    {DataType::kF64, "F64", 8},        {DataType::kF32, "F32", 4},
    {DataType::kF16, "F16", 2},        {DataType::kBF16, "BF16", 2},
    {DataType::kF8E4M3, "F8_E4M3", 1}, {DataType::kF8E5M2, "F8_E5M2", 1},
    {DataType::kI64, "I64", 8},        {DataType::kI32, "I32", 4},
    {DataType::kI16, "I16", 2},        {DataType::kI8, "I8", 1},
    {DataType::kU8, "U8", 1},          {DataType::kBool, "BOOL", 1},
};

const TypeInfo& TypeInfoOf(DataType type) {
  for (const TypeInfo& info : kDataTypes) {
    if (info.type == type) return info;
  }
  throw Error(ErrorCode::kInternal, "data type {} is not in the table", static_cast<int>(type));
}

}  // namespace

Index SizeOf(DataType type) { return TypeInfoOf(type).size; }
const char* NameOf(DataType type) { return TypeInfoOf(type).name; }

std::optional<DataType> DataTypeNamed(std::string_view name) {
  const auto* found = std::ranges::find(kDataTypes, name, &TypeInfo::name);
  if (found == std::end(kDataTypes)) return std::nullopt;
  return found->type;
}

bool IsFloating(DataType type) { return *NameOf(type) == 'F' || type == DataType::kBF16; }

std::string FloatingTypes() {
  std::vector<const char*> names;
  for (const TypeInfo& info : kDataTypes) {
    if (IsFloating(info.type)) names.push_back(info.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::optional<Index> BytesOf(std::span<const Index> shape, DataType type) {
  Index bytes = SizeOf(type);
  for (const Index axis : shape) {
    if (axis < 0 || __builtin_mul_overflow(bytes, axis, &bytes)) return std::nullopt;
  }
  return bytes;
}

std::string ShapeText(std::span<const Index> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

float BFloat16ToFloat(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

float HalfToFloat(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31;
  const std::uint32_t exponent = (std::uint32_t{bits} >> 10) & 0x1F;
  const std::uint32_t fraction = std::uint32_t{bits} & 0x3FF;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | fraction << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;  // exact
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

float E4M3ToFloat(std::uint8_t bits) {
  const int exponent = (bits >> 3) & 0xF;
  const int fraction = bits & 7;
  float magnitude = 0;
  if (exponent == 15 && fraction == 7) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -9);
  } else {
    magnitude = std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
  }
  return std::copysign(magnitude, (bits & 0x80) != 0 ? -1.0F : 1.0F);
}

float E5M2ToFloat(std::uint8_t bits) { return HalfToFloat(static_cast<std::uint16_t>(bits << 8)); }

std::uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 31 << 15;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {
    half = 0x7E00U | ((magnitude >> 13) & 0x1FFU);  // stays a NaN, and a quiet one
  } else if (magnitude >= 0x477FF000U) {
    half = 0x7C00U;  // 65520 and above round to infinity
  } else if (magnitude < 0x38800000U) {
    // Below 2^-14 halves are multiples of 2^-24. Adding 0.5, whose last bit is worth 2^-24, lets
    // the processor round to them, ties to even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    half = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F);
  } else {
    const std::uint32_t odd = (magnitude >> 13) & 1U;
    half = (magnitude - (112U << 23) + 0xFFFU + odd) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace cliplens
