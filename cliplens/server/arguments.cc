#include "cliplens/server/arguments.h"

#include <cmath>

#include "cliplens/base/parse_number.h"
#include "cliplens/io/printable.h"

namespace cliplens::server {
namespace {

[[noreturn]] void Refuse(const std::string& name, std::string_view wanted) {
  throw Error(ErrorCode::kInvalidArgument, "{}: {} is wanted", name, wanted);
}

void CheckRange(const std::string& name, Index value, Index least, Index most) {
  if (value < least || value > most) {
    Refuse(name, fmt::format("a whole number from {} to {}", least, most));
  }
}

Json BodyOf(const Request& request) {
  try {
    Json body = ParseJson(request.body, "the request's body");
    if (body.is_object()) return body;
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument, "{}", error.what());
  }
  Refuse("the request's body", "a JSON object");
}

std::string TextOf(const Json& value, const std::string& name) {
  if (!value.is_string()) Refuse(name, "a text");
  auto text = value.get<std::string>();
  if (static_cast<Index>(text.size()) > kMostTextBytes) {
    throw Error(ErrorCode::kInvalidArgument, "{}: it has {} bytes, at most {} are taken", name,
                text.size(), kMostTextBytes);
  }
  return text;
}

}  // namespace

Arguments::Arguments(const Request& request) : object_(BodyOf(request)) {}

Arguments::Arguments(Json object, std::string name)
    : object_(std::move(object)), name_(std::move(name)) {
  if (!object_.is_object()) Refuse(name_, "an object");
}

std::string Arguments::NameOf(const char* key) const {
  return name_.empty() ? key : name_ + "." + key;
}

bool Arguments::Has(const char* key) const {
  return object_.contains(key) && !object_[key].is_null();
}

const Json& Arguments::Field(const char* key) const {
  if (!Has(key)) throw Error(ErrorCode::kInvalidArgument, "{}: it is missing", NameOf(key));
  return object_[key];
}

std::string Arguments::Text(const char* key) const { return TextOf(Field(key), NameOf(key)); }

std::string Arguments::Text(const char* key, const std::string& otherwise) const {
  return Has(key) ? Text(key) : otherwise;
}

double Arguments::Number(const char* key, double otherwise) const {
  if (!Has(key)) return otherwise;
  const Json& value = Field(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) Refuse(NameOf(key), "a number");
  return value.get<double>();
}

Index Arguments::Count(const char* key, Index otherwise, Index least, Index most) const {
  if (!Has(key)) return otherwise;
  const Json& value = Field(key);
  const Index count = value.is_number_integer() ? value.get<Index>() : least - 1;
  CheckRange(NameOf(key), count, least, most);
  return count;
}

bool Arguments::Flag(const char* key) const {
  if (!Has(key)) return false;
  if (!Field(key).is_boolean()) Refuse(NameOf(key), "true or false");
  return Field(key).get<bool>();
}

std::vector<std::string> Arguments::Texts(const char* key, Index most) const {
  std::vector<std::string> texts;
  if (!Has(key)) return texts;
  const Json& list = Field(key);
  if (!list.is_array() || static_cast<Index>(list.size()) > most) {
    Refuse(NameOf(key), fmt::format("a list of at most {} texts", most));
  }
  for (const Json& value : list) {
    texts.push_back(TextOf(value, fmt::format("{}[{}]", NameOf(key), texts.size())));
  }
  return texts;
}

Arguments Arguments::Object(const char* key) const { return {Field(key), NameOf(key)}; }

std::vector<Arguments> Arguments::Objects(const char* key, Index most) const {
  const Json& list = Field(key);
  if (!list.is_array() || list.empty() || static_cast<Index>(list.size()) > most) {
    Refuse(NameOf(key), fmt::format("a list of 1 to {} objects", most));
  }
  std::vector<Arguments> objects;
  for (const Json& value : list) {
    objects.emplace_back(value, fmt::format("{}[{}]", NameOf(key), objects.size()));
  }
  return objects;
}

Index CountOf(const Request& request, const std::string& key, Index otherwise, Index least,
              Index most) {
  const std::string_view text = request.parameter(key);
  if (text.empty()) return otherwise;
  const Index value = ParseNumber<Index>(text).value_or(least - 1);
  CheckRange(key, value, least, most);
  return value;
}

Index NumberOf(std::string_view text, std::string_view what) {
  const Index value = ParseNumber<Index>(text).value_or(-1);
  if (value < 0) {
    throw Error(ErrorCode::kNotFound, "there is no {} '{}'", what, Printable(text));
  }
  return value;
}

}  // namespace cliplens::server
