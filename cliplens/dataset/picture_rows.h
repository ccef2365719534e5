// A table whose rows tell of pictures: one row a picture, or several that are joined.
//
//   const PictureRows rows(ReadTextTable("captions.csv"), {.path = 0}, "captions.csv");
//   Use(rows.path(0), rows.attributes(0));   // {"caption": ["a dog", "a dog runs"]}
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/json.h"
#include "cliplens/io/text_table.h"

namespace cliplens {

struct PictureColumns {
  Index path = -1;
  Index label = -1;  // -1: none; an empty cell: no label
  Index mask = -1;   // path of the mask; an empty cell: no mask
  Index split = -1;
};

// The column that holds the pictures' paths: the one of this name, or if it is empty the first that
// a usual name has ("path", "file_name", ...); -1 if there is none.
Index FindPathColumn(const TextTable& table, const std::string& name);
// For messages: "path, file, ...".
std::string UsualPathColumns();

class PictureRows {
 public:
  // Rows that name one picture, also as ./a.png and a.png, are joined: where their cells differ,
  // the attribute is the list of all of them. Throws Error(kCorruptData) naming two rows where such
  // rows have another label, mask or split. `name` is the table's, for messages.
  PictureRows(TextTable table, PictureColumns columns, std::string name);

  // Pictures, in the order of their first rows.
  Index size() const { return static_cast<Index>(first_row_.size()); }
  // Rows beyond the first of their picture.
  Index joined() const { return table_.rows() - size(); }
  // The row of the table, from 0, that names picture p first.
  Index row(Index p) const { return At(first_row_, p); }
  std::string_view path(Index p) const { return PathOfRow(row(p)); }
  std::optional<std::string_view> label(Index p) const { return Cell(row(p), columns_.label); }
  std::optional<std::string_view> mask(Index p) const { return Cell(row(p), columns_.mask); }
  // The cells of the other columns, as texts; empty ones are left out.
  Json attributes(Index p) const;
  const TextTable& table() const { return table_; }

 private:
  std::string_view PathOfRow(Index row) const;
  std::optional<std::string_view> Cell(Index row, Index column) const;
  void Join(Index first, Index other);

  TextTable table_;
  PictureColumns columns_;
  std::string name_;
  std::vector<Index> first_row_;                   // of each picture
  std::map<Index, std::vector<Index>> more_rows_;  // by the first row of a picture
  std::map<Index, std::string> cleaned_;           // paths that are written otherwise, by row
};

}  // namespace cliplens
