#include "cliplens/dataset/picture_rows.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr std::array<const char*, 11> kPathNames = {
    "path",  "file",       "filename", "file_name",    "filepath", "file_path",
    "image", "image_path", "img",      "img_filename", "image_id"};

}  // namespace

std::string UsualPathColumns() { return fmt::format("{}", fmt::join(kPathNames, ", ")); }

Index FindPathColumn(const TextTable& table, const std::string& name) {
  if (!name.empty()) return table.Find(name);
  for (const char* usual : kPathNames) {
    if (const Index column = table.Find(usual); column >= 0) return column;
  }
  return -1;
}

namespace {

// "./a//b.png" as "a/b.png".
std::string CleanPath(std::string_view path) {
  std::string clean = path.starts_with('/') ? "/" : "";
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") {
      if (!clean.empty() && clean.back() != '/') clean += '/';
      clean += part;
    }
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return clean;
}

}  // namespace

PictureRows::PictureRows(TextTable table, PictureColumns columns, std::string name)
    : table_(std::move(table)), columns_(columns), name_(std::move(name)) {
  std::vector<Index> order(ToSize(table_.rows()));
  for (Index r = 0; r < table_.rows(); ++r) {
    At(order, r) = r;
    const std::string_view path = table_.cell(r, columns_.path);
    if (path.find("./") == std::string_view::npos && path.find("//") == std::string_view::npos) {
      continue;
    }
    if (std::string clean = CleanPath(path); clean != path) cleaned_[r] = std::move(clean);
  }
  std::ranges::sort(order, {}, [&](Index r) { return std::pair(PathOfRow(r), r); });
  std::vector<bool> joined(order.size(), false);
  Index first = 0;
  for (const Index r : order) {
    if (r != order.front() && PathOfRow(r) == PathOfRow(first)) {
      Join(first, r);
      joined[ToSize(r)] = true;
    } else {
      first = r;
    }
  }
  for (Index r = 0; r < table_.rows(); ++r) {
    if (!joined[ToSize(r)]) first_row_.push_back(r);
  }
}

void PictureRows::Join(Index first, Index other) {
  for (const Index column : {columns_.label, columns_.mask, columns_.split}) {
    if (column < 0 || table_.cell(first, column) == table_.cell(other, column)) continue;
    throw Error(ErrorCode::kCorruptData,
                "{}: rows {} and {} both name the picture \"{}\", with '{}' and '{}' as its {}; "
                "leave one of them",
                name_, first + 1, other + 1, Printable(PathOfRow(first)),
                Printable(table_.cell(first, column), 80),
                Printable(table_.cell(other, column), 80),
                Printable(At(table_.columns(), column), 80));
  }
  more_rows_[first].push_back(other);
}

std::string_view PictureRows::PathOfRow(Index row) const {
  if (const auto found = cleaned_.find(row); found != cleaned_.end()) return found->second;
  return table_.cell(row, columns_.path);
}

std::optional<std::string_view> PictureRows::Cell(Index row, Index column) const {
  if (column < 0 || table_.cell(row, column).empty()) return std::nullopt;
  return table_.cell(row, column);
}

Json PictureRows::attributes(Index p) const {
  const Index first = row(p);
  const auto more = more_rows_.find(first);
  Json attributes = Json::object();
  for (Index c = 0; c < static_cast<Index>(table_.columns().size()); ++c) {
    if (c == columns_.path || c == columns_.mask) continue;
    const std::string_view cell = table_.cell(first, c);
    const bool same = more == more_rows_.end() ||
                      std::ranges::all_of(
                          more->second, [&](Index other) { return table_.cell(other, c) == cell; });
    if (same && cell.empty()) continue;
    Json& value = attributes[At(table_.columns(), c)];
    if (same) {
      value = std::string(cell);
      continue;
    }
    value = Json::array({std::string(cell)});
    for (const Index other : more->second) value.push_back(std::string(table_.cell(other, c)));
  }
  return attributes;
}

}  // namespace cliplens
