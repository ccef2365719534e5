#include "cliplens/io/python_json.h"

#include <array>

namespace cliplens {
namespace {

constexpr std::array<std::string_view, 3> kWords = {"NaN", "Infinity", "-Infinity"};

std::string WithNulls(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 64);
  bool quoted = false;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    std::string_view put = text.substr(at, 1);
    if (quoted) {
      quoted = put != "\"";
      if (put == "\\") put = text.substr(at, length = 2);
    } else if (put == "\"") {
      quoted = true;
    } else {
      for (const std::string_view word : kWords) {
        if (!text.substr(at).starts_with(word)) continue;
        length = word.size();
        put = "null";
      }
    }
    out += put;
    at += length;
  }
  return out;
}

}  // namespace

Json ParsePythonJson(std::string_view text, const std::string& name) {
  const bool plain = text.find(kWords[0]) == std::string_view::npos &&
                     text.find(kWords[1]) == std::string_view::npos;
  return plain ? ParseJson(text, name) : ParseJson(WithNulls(text), name);
}

}  // namespace cliplens
