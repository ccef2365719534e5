// A number that is the whole of a text.
//
//   Print(ParseNumber<Index>("12").value_or(-1), ParseNumber<Index>("12 ducks").value_or(-1));
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace cliplens {

// As std::from_chars reads it; nothing for a text that is no such number, or has more around it.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace cliplens
