#include "cliplens/model/config_reader.h"

#include <cmath>
#include <cstdint>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {

ConfigReader::ConfigReader(const Json& object, std::string name)
    : object_(object), name_(std::move(name)) {
  if (!object.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: an object was expected here", name_);
  }
}

bool ConfigReader::Has(const char* key) {
  seen_.insert(key);
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

Index ConfigReader::Integer(const char* key, Index fallback, Index low, Index high) {
  if (!Has(key)) return fallback;
  const Json& value = object_.at(key);
  if (!value.is_number_integer()) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, a whole number was expected", name_, key,
                JsonExcerpt(value));
  }
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high)) {
    OutOfRange(key, value, low, high);
  }
  const Index n = value.get<Index>();
  if (n < low || n > high) OutOfRange(key, value, low, high);
  return n;
}

Index ConfigReader::Square(const char* key, Index fallback, Index high) {
  if (!Has(key)) return fallback;
  const Json& value = object_.at(key);
  if (!value.is_array()) return Integer(key, fallback, 1, high);
  if (value.size() != 2 || value[0] != value[1]) {
    throw Error(ErrorCode::kUnsupported,
                "{}: '{}' is {}; only square pictures and patches are supported", name_, key,
                JsonExcerpt(value));
  }
  const Json one = {{key, value[0]}};
  return ConfigReader(one, name_).Integer(key, fallback, 1, high);
}

double ConfigReader::Number(const char* key, double fallback) {
  if (!Has(key)) return fallback;
  const Json& value = object_.at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, a number was expected", name_, key,
                JsonExcerpt(value));
  }
  return value.get<double>();
}

bool ConfigReader::Bool(const char* key, bool fallback) {
  if (!Has(key)) return fallback;
  const Json& value = object_.at(key);
  if (!value.is_boolean()) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, true or false was expected", name_, key,
                JsonExcerpt(value));
  }
  return value.get<bool>();
}

std::string ConfigReader::Text(const char* key, const std::string& fallback) {
  if (!Has(key)) return fallback;
  const Json& value = object_.at(key);
  if (!value.is_string()) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, a text was expected", name_, key,
                JsonExcerpt(value));
  }
  return value.get<std::string>();
}

std::array<float, 3> ConfigReader::Channels(const char* key, std::array<float, 3> fallback,
                                            bool positive) {
  if (!Has(key)) return fallback;
  const Json& value = object_.at(key);
  std::array<float, 3> channels{};
  bool good = value.is_array() && value.size() == 3;
  for (std::size_t i = 0; good && i < 3; ++i) {
    good = value[i].is_number() && std::isfinite(value[i].get<float>()) &&
           (!positive || value[i].get<double>() > 0);
    if (good) channels[i] = value[i].get<float>();
  }
  if (!good) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, three {}numbers were expected", name_,
                key, JsonExcerpt(value), positive ? "positive " : "");
  }
  return channels;
}

const Json& ConfigReader::Object(const char* key) {
  seen_.insert(key);
  const auto found = object_.find(key);
  if (found == object_.end() || !found->is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: there is no object '{}' in it", name_, key);
  }
  return *found;
}

void ConfigReader::Only(const char* key, const Json& value) {
  if (Has(key) && object_.at(key) != value) {
    throw Error(ErrorCode::kUnsupported, "{}: '{}' is {}; only {} is supported", name_, key,
                JsonExcerpt(object_.at(key)), JsonExcerpt(value));
  }
}

void ConfigReader::Finish(const std::set<std::string, std::less<>>& without_effect) const {
  for (const auto& [key, value] : object_.items()) {
    if (seen_.contains(key) || without_effect.contains(key) || value.is_null()) continue;
    throw Error(ErrorCode::kUnsupported,
                "{}: the setting '{}' ({}) is not supported by this version, and passing over it "
                "could give wrong numbers",
                name_, Printable(key, 80), JsonExcerpt(value));
  }
}

void ConfigReader::OutOfRange(const char* key, const Json& value, Index low, Index high) const {
  throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, outside of {} to {}", name_, key,
              JsonExcerpt(value), low, high);
}

}  // namespace cliplens
