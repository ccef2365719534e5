// Reads the settings of a configuration file, each of which is either understood or refused.
//
//   const Json file = Json::parse(R"({"layers": 12, "pool_type": "tok", "dropout": 0.1})");
//   ConfigReader reader(file, "config.json");
//   const Index layers = reader.Integer("layers", 12, 1, 256);
//   reader.Only("pool_type", "tok");
//   reader.Finish({"dropout"});  // refuses any other setting
#pragma once

#include <array>
#include <set>
#include <string>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"

namespace cliplens {

// Reads the members of one JSON object and remembers which were asked for. A member that is null
// counts as absent. Holds a reference to the object; `name` stands in the messages.
//
// Throws Error(kCorruptData) for a value of the wrong kind or out of range.
class ConfigReader {
 public:
  ConfigReader(const Json& object, std::string name);

  bool Has(const char* key);
  Index Integer(const char* key, Index fallback, Index low, Index high);
  // A size that may be given as one number or as two equal ones; two different ones are
  // Error(kUnsupported).
  Index Square(const char* key, Index fallback, Index high);
  double Number(const char* key, double fallback);
  bool Bool(const char* key, bool fallback);
  std::string Text(const char* key, const std::string& fallback);
  // Three finite numbers, above 0 if `positive`.
  std::array<float, 3> Channels(const char* key, std::array<float, 3> fallback, bool positive);
  // The object under `key`, which must be there.
  const Json& Object(const char* key);

  // Throws Error(kUnsupported) unless the setting has this value, is null or is absent.
  void Only(const char* key, const Json& value);

  // Throws Error(kUnsupported) for a setting that was not read and is not in the list.
  void Finish(const std::set<std::string, std::less<>>& without_effect) const;

  const std::string& name() const { return name_; }
  const Json& json(const char* key) const { return object_.at(key); }

 private:
  [[noreturn]] void OutOfRange(const char* key, const Json& value, Index low, Index high) const;

  const Json& object_;
  std::string name_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace cliplens
