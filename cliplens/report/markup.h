// Pieces of HTML: escaped text, numbers as people read them, bars.
//
//   Print("<td>" + EscapeHtml("1 < 2") + "</td>", FormatCount(1180));   // 1 &lt; 2 and 1,180
#pragma once

#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"

namespace cliplens {

// `text` fit for element content and for a quoted attribute. Control characters and bytes that are
// not UTF-8 come out as U+FFFD.
std::string EscapeHtml(std::string_view text);

std::string EncodeBase64(std::span<const std::uint8_t> bytes);

// 1180 → "1,180".
std::string FormatCount(Index count);

// `value` with `decimals` digits and a true minus sign; never "−0.0".
std::string FormatFixed(double value, int decimals);
// The same with a plus sign before positive numbers.
std::string FormatSigned(double value, int decimals);

// 7.42e-8 → "7.4 × 10<sup>−8</sup>".
std::string FormatScientific(double value);

// "1 text", "2 texts".
std::string Counted(Index count, std::string_view noun);

// A bar in an SVG of 100 × 1 that CSS stretches: `before` in class "c", then `length` in class "s",
// both from 0 to 1.
std::string StaircaseBar(double before, double length);

namespace html {

// Appends to `out`.
template <typename... Args>
void Put(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

// A text or name from a file: escaped, with its writing direction isolated.
std::string Name(std::string_view text);

// A name, with a link to its place on the page if it has one.
std::string LinkIf(bool linked, const std::string& name);

// 0.124 → "12.4 %", with a thin space.
std::string Percent(double share);

// factor · e and its bounds, which are small.
std::string Bounded(const Estimate& e, double factor, int decimals);

}  // namespace html
}  // namespace cliplens
