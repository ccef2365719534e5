#include "cliplens/io/parquet.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/ranges.h>
#include <zlib.h>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/json.h"
#include "cliplens/io/parquet_metadata.h"
#include "cliplens/io/parquet_values.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/thrift.h"

namespace cliplens {
namespace {

constexpr std::string_view kParquetMagic = "PAR1";
constexpr std::string_view kEncryptedMagic = "PARE";
constexpr Index kParquetTail = 8;  // the footer's size and the magic
constexpr Index kMaxFooterBytes = Index{16} << 20;

// The cells of one column in one row group.
struct ColumnCells {
  std::string text;
  std::vector<std::uint32_t> ends;

  std::string_view cell(std::size_t row) const {
    const std::uint32_t begin = row == 0 ? 0 : ends[row - 1];
    return std::string_view(text).substr(begin, ends[row] - begin);
  }
};

// Values as cells, and as elements of lists in cells.
class CellWriter {
 public:
  // `bytes` counts those of all cells of the table; `where` opens the messages.
  CellWriter(const ParquetColumn& column, Index rows, Index rows_before, std::size_t* bytes,
             std::string where)
      : column_(column),
        rows_(rows),
        rows_before_(rows_before),
        bytes_before_(*bytes),
        bytes_(bytes),
        where_(std::move(where)) {}

  // The next value, null or empty list.
  void Add(bool begins_row, std::uint32_t definition, ParquetValues* values) {
    if (begins_row) BeginRow(definition);
    if (!row_open_) Fail("a list goes on before the first row");
    if (!column_.is_list) {
      if (definition == column_.max_definition) AddValue(values->Next());
    } else if (definition > column_.empty_definition) {
      if (!std::exchange(list_empty_, false)) cells_.text += ',';
      if (definition == column_.max_definition) {
        AddValue(values->Next());
      } else {
        cells_.text += "null";
      }
    } else if (!begins_row) {
      Fail("an empty list in a list");
    }
    Check(cells_.text.size() - cell_begin_);
  }

  ColumnCells Finish() {
    EndRow();
    if (std::ssize(cells_.ends) != rows_) {
      Fail(fmt::format("it has {} of {} rows", cells_.ends.size(), rows_));
    }
    return std::move(cells_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kCorruptData, "{}: is damaged ({}); fetch the file again", where_, what);
  }

  Index row() const { return rows_before_ + std::ssize(cells_.ends) + 1; }

  void BeginRow(std::uint32_t definition) {
    EndRow();
    if (std::ssize(cells_.ends) == rows_) Fail(fmt::format("it has more than {} rows", rows_));
    row_open_ = true;
    cell_begin_ = cells_.text.size();
    list_open_ = column_.is_list && definition >= column_.empty_definition;
    list_empty_ = true;
    if (list_open_) cells_.text += '[';
  }

  void EndRow() {
    if (!std::exchange(row_open_, false)) return;
    if (list_open_) cells_.text += ']';
    cells_.ends.push_back(static_cast<std::uint32_t>(cells_.text.size()));
    *bytes_ = bytes_before_ + cells_.text.size();
  }

  void Check(std::size_t cell_bytes) const {
    if (cell_bytes > kMaxCellBytes) {
      throw Error(ErrorCode::kExhausted,
                  "{}: row {}: a cell has {} bytes or more, at most {} are read", where_, row(),
                  cell_bytes, kMaxCellBytes);
    }
    if (bytes_before_ + cells_.text.size() > ToSize(kMaxTableBytes)) {
      throw Error(ErrorCode::kExhausted,
                  "{}: the table's cells have more than {} bytes; split the table", where_,
                  kMaxTableBytes);
    }
  }

  void AddValue(const ParquetValue& value) {
    std::string& text = cells_.text;
    switch (column_.kind) {
      case ParquetKind::kText:
        AddText(value.bytes);
        break;
      case ParquetKind::kBoolean:
        text += value.bits != 0 ? "true" : "false";
        break;
      case ParquetKind::kSigned:
        text += fmt::to_string(static_cast<std::int64_t>(value.bits));
        break;
      case ParquetKind::kUnsigned:
        text += column_.type == ParquetType::kInt32
                    ? fmt::to_string(static_cast<std::uint32_t>(value.bits))
                    : fmt::to_string(value.bits);
        break;
      case ParquetKind::kReal:
        AddReal(value.bits);
        break;
      case ParquetKind::kDate:
        AddQuoted(Date(static_cast<std::int64_t>(value.bits)));
        break;
      case ParquetKind::kTimestamp:
        AddQuoted(Timestamp(static_cast<std::int64_t>(value.bits)));
        break;
    }
  }

  void AddText(std::string_view value) {
    Check(value.size());
    if (const std::size_t at = FindInvalidUtf8(value); at != std::string_view::npos) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: row {}: \"{}\" is not UTF-8 from byte {} on; fetch the file again", where_,
                  row(), Printable(value, 40), at);
    }
    if (column_.is_list) {
      cells_.text += DumpJson(Json(value));
    } else {
      cells_.text += value;
    }
  }

  void AddQuoted(const std::string& value) {
    cells_.text += column_.is_list ? '"' + value + '"' : value;
  }

  void AddReal(std::uint64_t bits) {
    double real = std::bit_cast<double>(bits);
    if (column_.type == ParquetType::kFloat) {
      const float narrow = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      real = std::isfinite(narrow) ? ParseNumber<double>(fmt::to_string(narrow)).value_or(narrow)
                                   : std::numeric_limits<double>::infinity();
    }
    if (std::isfinite(real)) {
      cells_.text += DumpJson(Json(real));
    } else if (column_.is_list) {
      cells_.text += "null";
    }
  }

  // Of days since 1970.
  std::string Date(std::int64_t days) const {
    constexpr std::int64_t kYear1 = -719'162;
    constexpr std::int64_t kYear9999End = 2'932'896;
    if (days < kYear1 || days > kYear9999End) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: row {}: a date outside of the years 1 to 9999; store the column as numbers",
                  where_, row());
    }
    const std::chrono::year_month_day date{
        std::chrono::sys_days{std::chrono::days{static_cast<int>(days)}}};
    return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  }

  std::string Timestamp(std::int64_t ticks) const {
    constexpr std::int64_t kDay = 86'400;
    const auto [seconds, fraction] = FloorDivide(ticks, column_.ticks_per_second);
    const auto [days, second] = FloorDivide(seconds, kDay);
    std::string text = fmt::format("{} {:02}:{:02}:{:02}", Date(days), second / 3600,
                                   second / 60 % 60, second % 60);
    if (fraction != 0) {
      const int digits = column_.ticks_per_second == 1'000       ? 3
                         : column_.ticks_per_second == 1'000'000 ? 6
                                                                 : 9;
      text += fmt::format(".{:0{}}", fraction, digits);
    }
    if (column_.utc) text += "+00:00";
    return text;
  }

  // The quotient, rounded down, and what remains.
  static std::pair<std::int64_t, std::int64_t> FloorDivide(std::int64_t n, std::int64_t by) {
    const std::int64_t rest = (n % by + by) % by;
    return {n / by - (n % by < 0 ? 1 : 0), rest};
  }

  const ParquetColumn& column_;
  Index rows_;
  Index rows_before_;
  std::size_t bytes_before_;
  std::size_t* bytes_;
  std::string where_;
  ColumnCells cells_;
  std::size_t cell_begin_ = 0;
  bool row_open_ = false;
  bool list_open_ = false;
  bool list_empty_ = true;
};

enum class PageType : Index { kData = 0, kIndex = 1, kDictionary = 2, kDataV2 = 3 };

struct PageHeader {
  Index type = -1;
  Index unpacked = -1;  // bytes
  Index packed = -1;
  std::optional<std::uint32_t> checksum;
  Index values = 0;
  Index encoding = -1;
  Index definition_encoding = 0;  // of version 1
  Index repetition_encoding = 0;
  Index definition_bytes = 0;  // of version 2
  Index repetition_bytes = 0;
  bool is_packed = true;
  bool Is(PageType other) const { return type == static_cast<Index>(other); }
};

PageHeader ParsePageHeader(ThriftReader* reader) {
  PageHeader page;
  const auto read = [reader](ThriftType type, Index* number) {
    *number = reader->Integer(type);
    return true;
  };
  reader->Struct([&](Index id, ThriftType type) {
    switch (id) {
      case 1:
        return read(type, &page.type);
      case 2:
        return read(type, &page.unpacked);
      case 3:
        return read(type, &page.packed);
      case 4:
        page.checksum = static_cast<std::uint32_t>(reader->Integer(type));
        return true;
      case 5:
        reader->Struct(type, [&](Index member, ThriftType value) {
          return member == 1   ? read(value, &page.values)
                 : member == 2 ? read(value, &page.encoding)
                 : member == 3 ? read(value, &page.definition_encoding)
                 : member == 4 ? read(value, &page.repetition_encoding)
                               : false;
        });
        return true;
      case 7:
        reader->Struct(type, [&](Index member, ThriftType value) {
          return member == 1 ? read(value, &page.values) : false;
        });
        return true;
      case 8:
        reader->Struct(type, [&](Index member, ThriftType value) {
          if (member == 7) page.is_packed = reader->Boolean(value);
          return member == 1   ? read(value, &page.values)
                 : member == 4 ? read(value, &page.encoding)
                 : member == 5 ? read(value, &page.definition_bytes)
                 : member == 6 ? read(value, &page.repetition_bytes)
                               : member == 7;
        });
        return true;
      default:
        return false;
    }
  });
  return page;
}

// Levels of a page; 0 where there are none.
class Levels {
 public:
  Levels() = default;
  Levels(ByteCursor cursor, std::uint32_t most)
      : runs_(ParquetRuns(cursor, static_cast<std::uint32_t>(std::bit_width(most)))),
        cursor_(std::move(cursor)),
        most_(most) {}
  std::uint32_t Next() {
    if (!runs_) return 0;
    const std::uint32_t level = runs_->Next();
    if (level > most_) cursor_->Fail(fmt::format("level {} of {}", level, most_));
    return level;
  }

 private:
  std::optional<ParquetRuns> runs_;
  std::optional<ByteCursor> cursor_;  // for messages
  std::uint32_t most_ = 0;
};

class ParquetFile {
 public:
  explicit ParquetFile(const std::filesystem::path& path)
      : path_(path), name_(PathText(path)), file_(path) {}

  TextTable Read() {
    const ParquetMetadata metadata = ReadMetadata();
    TextTable table = EmptyTable(metadata);
    if (metadata.rows > kMaxParquetCells / std::ssize(metadata.columns)) {
      throw Error(ErrorCode::kExhausted, "{}: has more than {} cells; split the table", name_,
                  kMaxParquetCells);
    }
    Index rows = 0;
    for (const ParquetRowGroup& group : metadata.row_groups) {
      if (group.rows == 0) continue;  // its columns may lie nowhere
      std::vector<ColumnCells> columns;
      for (const ParquetColumn& column : metadata.columns) {
        columns.push_back(ReadColumn(column, group.chunks[column.leaf], group.rows, rows));
      }
      std::vector<std::string_view> cells(columns.size());
      for (Index r = 0; r < group.rows; ++r) {
        for (std::size_t c = 0; c < cells.size(); ++c) cells[c] = columns[c].cell(ToSize(r));
        if (std::ranges::all_of(cells, &std::string_view::empty)) {
          table.CountBlankRow();
        } else {
          table.AddRow(cells);
        }
      }
      rows += group.rows;
    }
    return table;
  }

 private:
  template <typename... Args>
  Error Corrupt(fmt::format_string<Args...> what, Args&&... args) const {
    return Error(ErrorCode::kCorruptData, "{}: {}; fetch the file again", name_,
                 fmt::format(what, std::forward<Args>(args)...));
  }

  // `what` is at fault; another program writes the table otherwise.
  Error Unread(const std::string& what) const {
    const std::string lines =
        Printable(std::filesystem::path(path_).replace_extension("jsonl").native());
    return Error(ErrorCode::kUnsupported,
                 "{}, which is not read; convert the file by: python3 -c \"import pandas; "
                 "pandas.read_parquet('{}').to_json('{}', orient='records', lines=True)\"",
                 what, Printable(path_.native()), lines);
  }

  std::vector<std::uint8_t> ReadBytes(Index from, Index count) const {
    std::vector<std::uint8_t> bytes(ToSize(count));
    file_.Read(from, bytes);
    return bytes;
  }

  ParquetMetadata ReadMetadata() {
    const Index smallest = std::ssize(kParquetMagic) + kParquetTail;
    if (file_.size() < smallest) {
      throw Corrupt("has {} bytes, a Parquet file has {} at least", file_.size(), smallest);
    }
    const std::vector<std::uint8_t> tail = ReadBytes(file_.size() - kParquetTail, kParquetTail);
    const Index size = ByteCursor(tail, name_).Number<std::uint32_t>();
    const std::string magic(tail.end() - std::ssize(kParquetMagic), tail.end());
    if (magic == kEncryptedMagic) {
      throw Error(ErrorCode::kUnsupported, "{}: is encrypted; decrypt it first", name_);
    }
    if (magic != kParquetMagic) {
      throw Corrupt("is no Parquet file, or is cut off: it does not end in {}", kParquetMagic);
    }
    data_end_ = file_.size() - kParquetTail - size;
    if (data_end_ < std::ssize(kParquetMagic)) {
      throw Corrupt("claims a footer of {} bytes, the file has {}", size, file_.size());
    }
    if (size > kMaxFooterBytes) {
      throw Error(ErrorCode::kExhausted,
                  "{}: its footer has {} bytes, at most {} are read; write larger row groups",
                  name_, size, kMaxFooterBytes);
    }
    return ParseParquetFooter(ReadBytes(data_end_, size), name_);
  }

  TextTable EmptyTable(const ParquetMetadata& metadata) const {
    constexpr std::size_t kMaxNamed = 10;
    std::string left_out =
        fmt::format("{}", fmt::join(metadata.left_out.begin(),
                                    metadata.left_out.begin() +
                                        std::min(std::ssize(metadata.left_out), Index{kMaxNamed}),
                                    ", "));
    if (metadata.left_out.size() > kMaxNamed) {
      left_out += fmt::format(" and {} more", metadata.left_out.size() - kMaxNamed);
    }
    if (metadata.columns.empty()) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: has no column of texts or numbers{}{}; a table of the pictures' paths is "
                  "wanted, and the pictures in files",
                  name_, left_out.empty() ? "" : ", only ", left_out);
    }
    std::vector<std::string> names;
    for (const ParquetColumn& column : metadata.columns) {
      if (FindInvalidUtf8(column.name) != std::string::npos) {
        throw Corrupt("the name '{}' of a column is not UTF-8", Printable(column.name, 80));
      }
      names.push_back(column.name);
    }
    TextTable table(std::move(names));
    for (Index c = 0; c < std::ssize(table.columns()); ++c) {
      const std::string& name = At(table.columns(), c);
      if (table.Find(name) == c) continue;
      throw Error(ErrorCode::kCorruptData, "{}: two columns are named '{}'; rename one", name_,
                  Printable(name, 80));
    }
    if (!left_out.empty()) table.AddNote(fmt::format("{}: left out: {}", name_, left_out));
    return table;
  }

  // The bytes of a column in a row group.
  std::vector<std::uint8_t> ReadChunk(const ParquetColumn& column, const ParquetChunk& chunk,
                                      const std::string& where) {
    if (chunk.encrypted) {
      throw Error(ErrorCode::kUnsupported, "{}: is encrypted; decrypt the file first", where);
    }
    if (chunk.elsewhere) throw Unread(where + ": lies in another file");
    if (!IsParquetCodec(chunk.codec)) {
      throw Unread(fmt::format("{}: is packed by {} (codec {})", where,
                               ParquetCodecName(chunk.codec), chunk.codec));
    }
    if (chunk.type != static_cast<Index>(column.type)) {
      throw Corrupt("a column has type {} in the schema and {} in a row group",
                    static_cast<int>(column.type), chunk.type);
    }
    if (chunk.begin < std::ssize(kParquetMagic) || chunk.begin > data_end_ || chunk.size < 0 ||
        chunk.size > data_end_ - chunk.begin) {
      throw Corrupt("a column has {} bytes from byte {} on, its data end at byte {}", chunk.size,
                    chunk.begin, data_end_);
    }
    if (chunk.size > kMaxTableBytes) {
      throw Error(ErrorCode::kExhausted,
                  "{}: has {} bytes in a row group, at most {} are read; write smaller row groups",
                  where, chunk.size, kMaxTableBytes);
    }
    // Each byte belongs to one column.
    chunk_bytes_ += chunk.size;
    if (chunk_bytes_ > data_end_) throw Corrupt("its columns overlap");
    return ReadBytes(chunk.begin, chunk.size);
  }

  ColumnCells ReadColumn(const ParquetColumn& column, const ParquetChunk& chunk, Index rows,
                         Index rows_before) {
    const std::string where = fmt::format("{}: column '{}'", name_, Printable(column.name, 80));
    const std::vector<std::uint8_t> bytes = ReadChunk(column, chunk, where);
    std::span<const std::uint8_t> rest = bytes;
    CellWriter writer(column, rows, rows_before, &text_bytes_, where);
    ParquetDictionary dictionary;
    for (Index left = chunk.values; left > 0;) {
      ThriftReader reader(ByteCursor(rest, where));
      const PageHeader page = ParsePageHeader(&reader);
      ByteCursor cursor = reader.cursor();
      if (page.packed < 0 || page.unpacked < 0 || page.values < 0) cursor.Fail("a size below 0");
      ByteCursor body(cursor.Take(ToSize(page.packed)), where);
      rest = cursor.rest();
      if (page.checksum &&
          *page.checksum != crc32(0, body.rest().data(), static_cast<uInt>(body.rest().size()))) {
        cursor.Fail("a page has another checksum than it says");
      }
      if (page.Is(PageType::kDictionary)) {
        dictionary =
            ParquetDictionary(column, Unpack(chunk.codec, page.unpacked, body), page.values, where);
        continue;
      }
      if (!page.Is(PageType::kData) && !page.Is(PageType::kDataV2)) continue;
      if (page.values > left) cursor.Fail("a page has more values than the column");
      left -= page.values;
      ReadPage(column, chunk.codec, page, body, dictionary, &writer);
    }
    return writer.Finish();
  }

  std::vector<std::uint8_t> Unpack(Index codec, Index size, const ByteCursor& packed) {
    if (size > std::min(kMaxParquetPageBytes, kMaxParquetUnpackedBytes - unpacked_bytes_)) {
      throw Error(ErrorCode::kExhausted,
                  "{}: unpacks to more than {} bytes, or a page of it to more than {}; split the "
                  "table",
                  packed.where(), kMaxParquetUnpackedBytes, kMaxParquetPageBytes);
    }
    unpacked_bytes_ += size;
    if (size == 0) return {};
    return UnpackParquet(codec, packed.rest(), size, packed.where());
  }

  void ReadPage(const ParquetColumn& column, Index codec, const PageHeader& page, ByteCursor body,
                const ParquetDictionary& dictionary, CellWriter* writer) {
    Levels repetition;
    Levels definition;
    const auto part = [](ByteCursor* from, std::uint64_t bytes) {
      return ByteCursor(from->Take(bytes), from->where());
    };
    std::vector<std::uint8_t> unpacked;
    if (page.Is(PageType::kDataV2)) {
      // The levels stand before what is packed.
      if (page.repetition_bytes < 0 || page.definition_bytes < 0 ||
          page.repetition_bytes > page.unpacked ||
          page.definition_bytes > page.unpacked - page.repetition_bytes) {
        body.Fail("levels of an impossible size");
      }
      const ByteCursor repetitions = part(&body, ToSize(page.repetition_bytes));
      const ByteCursor definitions = part(&body, ToSize(page.definition_bytes));
      if (column.is_list) repetition = Levels(repetitions, 1);
      if (column.max_definition > 0) definition = Levels(definitions, column.max_definition);
      unpacked = Unpack(page.is_packed ? codec : 0,
                        page.unpacked - page.repetition_bytes - page.definition_bytes, body);
      body = ByteCursor(unpacked, body.where());
    } else {
      unpacked = Unpack(codec, page.unpacked, body);
      body = ByteCursor(unpacked, body.where());
      const auto levels = [&](Index encoding, std::uint32_t most) {
        constexpr Index kRunsOfLevels = 3;
        if (encoding != kRunsOfLevels) {
          throw Unread(fmt::format("{}: has levels in encoding {}", body.where(), encoding));
        }
        return Levels(part(&body, body.Number<std::uint32_t>()), most);
      };
      if (column.is_list) repetition = levels(page.repetition_encoding, 1);
      if (column.max_definition > 0) {
        definition = levels(page.definition_encoding, column.max_definition);
      }
    }
    if (!IsParquetEncoding(page.encoding)) {
      throw Unread(fmt::format("{}: has values in encoding {}", body.where(), page.encoding));
    }
    if (page.values == 0) return;
    const auto values = OpenParquetValues(page.encoding, column, body, &dictionary);
    for (Index i = 0; i < page.values; ++i) {
      const bool begins_row = repetition.Next() == 0;
      writer->Add(begins_row, definition.Next(), values.get());
    }
  }

  std::filesystem::path path_;
  std::string name_;
  RandomAccessFile file_;
  Index data_end_ = 0;
  Index chunk_bytes_ = 0;       // of all columns read so far
  Index unpacked_bytes_ = 0;    // of all pages
  std::size_t text_bytes_ = 0;  // of all cells
};

}  // namespace

TextTable ReadParquetTable(const std::filesystem::path& path) { return ParquetFile(path).Read(); }

}  // namespace cliplens
