#include "cliplens/io/parquet_metadata.h"

#include <limits>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/thrift.h"

namespace cliplens {
namespace {

constexpr Index kMaxSchemaElements = 4 * 4096;
constexpr std::size_t kMaxParquetColumns = 4096;
constexpr Index kMaxParquetChunks = Index{1} << 20;
constexpr Index kMaxWidth = Index{1} << 20;  // bytes of a value

enum class Repetition { kRequired, kOptional, kRepeated };

enum class Annotation {
  kNone,
  kText,
  kSigned,
  kUnsigned,
  kDate,
  kTimestamp,
  kTime,
  kDecimal,
  kList,
  kMap,
  kOther,
};

struct Meaning {
  Annotation annotation = Annotation::kNone;
  Index ticks_per_second = 1'000;
  bool utc = false;
};

// A node of the schema's tree, which lies in the file in the order of a walk.
struct SchemaElement {
  Index type = -1;  // -1: a group
  Index width = 0;
  Index repetition = 0;
  Index children = 0;
  std::string name;
  Meaning meaning;
  bool Is(Repetition other) const { return repetition == static_cast<Index>(other); }
};

// ConvertedType, as files before 2018 have it.
Meaning ConvertedMeaning(Index number) {
  switch (number) {
    case 0:   // UTF8
    case 4:   // ENUM
    case 19:  // JSON
      return {Annotation::kText};
    case 1:  // MAP
    case 2:  // MAP_KEY_VALUE
      return {Annotation::kMap};
    case 3:
      return {Annotation::kList};
    case 5:
      return {Annotation::kDecimal};
    case 6:
      return {Annotation::kDate};
    case 7:
    case 8:
      return {Annotation::kTime};
    case 9:
      return {Annotation::kTimestamp, 1'000, true};
    case 10:
      return {Annotation::kTimestamp, 1'000'000, true};
    case 11:
    case 12:
    case 13:
    case 14:
      return {Annotation::kUnsigned};
    case 15:
    case 16:
    case 17:
    case 18:
      return {Annotation::kSigned};
    default:
      return {Annotation::kOther};
  }
}

Meaning TimestampMeaning(ThriftReader* reader, ThriftType type) {
  Meaning meaning{Annotation::kTimestamp};
  reader->Struct(type, [&](Index id, ThriftType field) {
    if (id == 1) {
      meaning.utc = reader->Boolean(field);
      return true;
    }
    if (id != 2) return false;
    reader->Struct(field, [&](Index unit, ThriftType /*empty*/) {
      meaning.ticks_per_second = unit == 1 ? 1'000 : unit == 2 ? 1'000'000 : 1'000'000'000;
      return false;
    });
    return true;
  });
  return meaning;
}

Meaning IntegerMeaning(ThriftReader* reader, ThriftType type) {
  bool is_signed = true;
  reader->Struct(type, [&](Index id, ThriftType field) {
    if (id == 2) is_signed = reader->Boolean(field);
    return id == 2;
  });
  return {is_signed ? Annotation::kSigned : Annotation::kUnsigned};
}

// LogicalType, a union: one field, whose number says what it is.
Meaning LogicalMeaning(ThriftReader* reader, ThriftType type) {
  Meaning meaning;
  reader->Struct(type, [&](Index id, ThriftType field) {
    switch (id) {
      case 1:   // STRING
      case 4:   // ENUM
      case 12:  // JSON
        meaning = {Annotation::kText};
        return false;
      case 2:
        meaning = {Annotation::kMap};
        return false;
      case 3:
        meaning = {Annotation::kList};
        return false;
      case 5:
        meaning = {Annotation::kDecimal};
        return false;
      case 6:
        meaning = {Annotation::kDate};
        return false;
      case 7:
        meaning = {Annotation::kTime};
        return false;
      case 8:
        meaning = TimestampMeaning(reader, field);
        return true;
      case 10:
        meaning = IntegerMeaning(reader, field);
        return true;
      case 11:  // a column of nulls
        return false;
      default:
        meaning = {Annotation::kOther};
        return false;
    }
  });
  return meaning;
}

SchemaElement ParseElement(ThriftReader* reader, ThriftType type) {
  SchemaElement element;
  bool logical = false;
  reader->Struct(type, [&](Index id, ThriftType field) {
    switch (id) {
      case 1:
        element.type = reader->Integer(field);
        return true;
      case 2:
        element.width = reader->Integer(field);
        return true;
      case 3:
        element.repetition = reader->Integer(field);
        return true;
      case 4:
        element.name = reader->Binary(field);
        return true;
      case 5:
        element.children = reader->Integer(field);
        return true;
      case 6: {
        const Meaning meaning = ConvertedMeaning(reader->Integer(field));
        if (!logical) element.meaning = meaning;
        return true;
      }
      case 10:
        element.meaning = LogicalMeaning(reader, field);
        logical = true;
        return true;
      default:
        return false;
    }
  });
  return element;
}

ParquetChunk ParseChunk(ThriftReader* reader, ThriftType type) {
  ParquetChunk chunk;
  Index dictionary = 0;
  reader->Struct(type, [&](Index id, ThriftType field) {
    if (id == 1) chunk.elsewhere = true;             // file_path
    if (id == 8 || id == 9) chunk.encrypted = true;  // crypto_metadata, encrypted_metadata
    if (id != 3) return false;
    reader->Struct(field, [&](Index member, ThriftType value) {
      switch (member) {
        case 1:
          chunk.type = reader->Integer(value);
          return true;
        case 4:
          chunk.codec = reader->Integer(value);
          return true;
        case 5:
          chunk.values = reader->Integer(value);
          return true;
        case 7:
          chunk.size = reader->Integer(value);
          return true;
        case 9:
          chunk.begin = reader->Integer(value);
          return true;
        case 11:
          dictionary = reader->Integer(value);
          return true;
        default:
          return false;
      }
    });
    return true;
  });
  // Some writers give a dictionary's place where there is none: 0, or that of the data.
  if (dictionary > 0 && dictionary < chunk.begin) chunk.begin = dictionary;
  return chunk;
}

// The columns of a schema, one after the other.
class Schema {
 public:
  Schema(std::vector<SchemaElement> elements, std::string where)
      : elements_(std::move(elements)), where_(std::move(where)) {}

  // Fills columns and left_out; returns the number of leaves.
  std::size_t Walk(ParquetMetadata* metadata) {
    if (elements_.empty()) Fail("it has no columns");
    at_ = 1;  // behind the root
    for (Index c = 0; c < elements_[0].children; ++c) {
      if (at_ == elements_.size()) Fail("columns are missing");
      AddColumn(metadata);
    }
    if (at_ != elements_.size()) Fail("it has more elements than the tree");
    if (metadata->columns.size() + metadata->left_out.size() > kMaxParquetColumns) {
      throw Error(ErrorCode::kExhausted, "{}: has more than {} columns", where_,
                  kMaxParquetColumns);
    }
    return leaves_;
  }

 private:
  [[noreturn]] void Fail(const char* what) const {
    throw Error(ErrorCode::kCorruptData, "{}: is damaged ({}); fetch the file again", where_, what);
  }

  bool IsLeaf(std::size_t i) const {
    return i < elements_.size() && elements_[i].children == 0 && elements_[i].type >= 0;
  }

  void AddColumn(ParquetMetadata* metadata) {
    const std::size_t top = at_;
    const std::size_t leaf = leaves_;
    PassTree();
    ParquetColumn column{.name = elements_[top].name, .leaf = leaf};
    const char* reason = Describe(top, &column);
    // The rows' numbers or names, where a data frame has others than 0, 1, …
    if (column.name.starts_with("__index_level_")) reason = "the index of a data frame";
    if (reason == nullptr) {
      metadata->columns.push_back(std::move(column));
    } else {
      metadata->left_out.push_back(fmt::format("'{}' ({})", Printable(column.name, 80), reason));
    }
  }

  // Moves behind the tree that begins here and counts its leaves.
  void PassTree() {
    Index open = 1;
    for (; open > 0; ++at_) {
      if (at_ == elements_.size()) Fail("columns are missing");
      const Index children = elements_[at_].children;
      if (children < 0 || children > kMaxSchemaElements) Fail("an impossible number of members");
      open += children - 1;
      if (IsLeaf(at_)) ++leaves_;
    }
  }

  // The column's levels and the meaning of its values, or why it is left out.
  const char* Describe(std::size_t top, ParquetColumn* column) const {
    const SchemaElement& element = elements_[top];
    if (IsLeaf(top)) {
      column->is_list = element.Is(Repetition::kRepeated);
      column->max_definition = element.Is(Repetition::kRequired) ? 0 : 1;
      return Interpret(element, column);
    }
    if (element.meaning.annotation == Annotation::kMap) return "a map";
    if (element.meaning.annotation != Annotation::kList || element.children != 1 ||
        !elements_[top + 1].Is(Repetition::kRepeated)) {
      return "a struct";
    }
    // optional group NAME (LIST) { repeated group list { optional TYPE element; } }, or from old
    // writers { repeated TYPE element; }
    const std::size_t value = IsLeaf(top + 1) ? top + 1 : top + 2;
    const bool plain = value == top + 1 || (elements_[top + 1].children == 1 && IsLeaf(value) &&
                                            !elements_[value].Is(Repetition::kRepeated));
    if (!plain) return "lists of structs or lists";
    column->is_list = true;
    column->empty_definition = element.Is(Repetition::kOptional) ? 1 : 0;
    column->max_definition = column->empty_definition + 1;
    if (value != top + 1 && elements_[value].Is(Repetition::kOptional)) ++column->max_definition;
    return Interpret(elements_[value], column);
  }

  const char* Interpret(const SchemaElement& leaf, ParquetColumn* column) const {
    if (leaf.type > static_cast<Index>(ParquetType::kFixed)) Fail("a type that Parquet lacks");
    column->type = static_cast<ParquetType>(leaf.type);
    column->width = leaf.width;
    column->ticks_per_second = leaf.meaning.ticks_per_second;
    column->utc = leaf.meaning.utc;
    if (column->type == ParquetType::kFixed && (column->width <= 0 || column->width > kMaxWidth)) {
      Fail("values of an impossible width");
    }
    const Annotation annotation = leaf.meaning.annotation;
    if (annotation == Annotation::kDecimal) return "decimal numbers";
    if (annotation == Annotation::kTime) return "times of day";
    switch (column->type) {
      case ParquetType::kBoolean:
        column->kind = ParquetKind::kBoolean;
        return nullptr;
      case ParquetType::kInt32:
      case ParquetType::kInt64:
        column->kind = ParquetKind::kSigned;
        if (annotation == Annotation::kUnsigned) column->kind = ParquetKind::kUnsigned;
        if (annotation == Annotation::kDate) column->kind = ParquetKind::kDate;
        if (annotation == Annotation::kTimestamp) column->kind = ParquetKind::kTimestamp;
        return nullptr;
      case ParquetType::kFloat:
      case ParquetType::kDouble:
        column->kind = ParquetKind::kReal;
        return nullptr;
      case ParquetType::kInt96:
        return "timestamps of 96 bits";
      case ParquetType::kByteArray:
      case ParquetType::kFixed:
        column->kind = ParquetKind::kText;
        return annotation == Annotation::kText ? nullptr : "bytes";
    }
    return nullptr;
  }

  std::vector<SchemaElement> elements_;
  std::string where_;
  std::size_t at_ = 0;
  std::size_t leaves_ = 0;
};

}  // namespace

ParquetMetadata ParseParquetFooter(std::span<const std::uint8_t> footer, const std::string& name) {
  const std::string where = name + ": footer";
  ThriftReader reader(ByteCursor(footer, where));
  std::vector<SchemaElement> elements;
  ParquetMetadata metadata;
  Index rows = -1;
  Index chunks = 0;
  const auto bound = [&](Index count, Index most, const char* what) {
    if (count <= most) return;
    throw Error(ErrorCode::kExhausted, "{}: has {} {}, at most {} are read", where, count, what,
                most);
  };
  const auto row_group = [&](ThriftType type) {
    ParquetRowGroup group;
    reader.Struct(type, [&](Index id, ThriftType field) {
      if (id == 3) group.rows = reader.Integer(field);
      if (id == 1) {
        reader.List(
            field, [&](Index count) { bound(chunks += count, kMaxParquetChunks, "column chunks"); },
            [&](ThriftType element) { group.chunks.push_back(ParseChunk(&reader, element)); });
      }
      return id == 1 || id == 3;
    });
    metadata.row_groups.push_back(std::move(group));
  };
  reader.Struct([&](Index id, ThriftType field) {
    switch (id) {
      case 2:
        reader.List(
            field, [&](Index count) { bound(count, kMaxSchemaElements, "schema elements"); },
            [&](ThriftType type) { elements.push_back(ParseElement(&reader, type)); });
        return true;
      case 3:
        rows = reader.Integer(field);
        return true;
      case 4:
        reader.List(
            field, [&](Index count) { bound(count, kMaxParquetChunks, "row groups"); }, row_group);
        return true;
      default:
        return false;
    }
  });
  const std::size_t leaves = Schema(std::move(elements), where).Walk(&metadata);
  for (const ParquetRowGroup& group : metadata.row_groups) {
    if (group.chunks.size() != leaves) {
      reader.cursor().Fail(
          fmt::format("a row group has {} columns, the schema {}", group.chunks.size(), leaves));
    }
    if (group.rows < 0 || group.rows > std::numeric_limits<Index>::max() - metadata.rows) {
      reader.cursor().Fail(fmt::format("a row group of {} rows", group.rows));
    }
    metadata.rows += group.rows;
  }
  if (metadata.rows != rows) {
    reader.cursor().Fail(
        fmt::format("its row groups have {} rows together, the whole {}", metadata.rows, rows));
  }
  return metadata;
}

}  // namespace cliplens
