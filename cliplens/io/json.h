// JSON values. Only this header and json.cc use the JSON library.
//
//   const Json file = ReadJsonFile("open_clip_config.json");
//   const Json model_config = JsonField<Json>(file, "model_cfg", "open_clip_config.json");
//   Print(DumpJson(model_config, /*indent=*/2));
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cliplens/base/array.h"

namespace cliplens {

// Objects keep the order in which their members were added. Finding a member takes time linear in
// their number, so a large object (a vocabulary) is walked with items() once.
using Json = nlohmann::ordered_json;

inline constexpr Index kMaxJsonValues = Index{1} << 23;

// `name` stands in the messages: "open_clip_config.json: line 3, column 7: ...".
// Throws Error(kCorruptData) on bad JSON, bad UTF-8, a duplicate key or nesting deeper than 64,
// Error(kExhausted) above `max_values`: a value takes up to some 200 bytes of memory.
Json ParseJson(std::string_view text, const std::string& name, Index max_values = kMaxJsonValues);
// The file must be a regular one.
Json ReadJsonFile(const std::filesystem::path& path, Index max_bytes = Index{64} << 20);

// Member `key` of `object` as T: bool, std::int64_t, double, std::string or Json. Throws
// Error(kCorruptData) that gives `name` and the key if the member is missing or of another type.
template <typename T>
T JsonField(const Json& object, const char* key, const std::string& name);

// The same for a member that must be a list.
Json JsonList(const Json& object, const char* key, const std::string& name);

// One line; bytes that are not UTF-8 are replaced by U+FFFD.
std::string DumpJson(const Json& value, int indent = -1);

// A value as a message quotes it: printable and cut at 80 bytes.
std::string JsonExcerpt(const Json& value);

}  // namespace cliplens
