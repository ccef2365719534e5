#include "cliplens/io/json.h"

#include <cstddef>
#include <iterator>
#include <limits>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/stand_in.h"

namespace cliplens {
namespace {

constexpr std::size_t kMaxDepth = 64;

// Characters of a text; tells how far the parser has read, which the library's handlers cannot.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// Builds the value from the parser's events. The library's own builder looks through all members of
// an object for each new one and lets the last duplicate win; this one appends, and finds
// duplicates in a set, so that a vocabulary of 50,000 members is read in linear time.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& name, const char* const* reached,
          Index max_values)
      : text_(text), name_(name), reached_(reached), max_values_(max_values) {}

  Json Take() { return std::move(root_); }

  bool null() override { return Add(Json(nullptr)); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& key) override {
    Frame& frame = open_.back();
    if (!frame.keys.insert(key).second) {
      Throw(Reached() > 0 ? Reached() - 1 : 0,
            fmt::format("the key \"{}\" stands twice in one object; remove one of them",
                        Printable(key)));
    }
    frame.key = std::move(key);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: what is wrong"; other
    // errors have no place in their text: "[json.exception.out_of_range.406] what is wrong".
    std::string_view what = error.what();
    const std::size_t column = what.find(", column ");
    const std::size_t begin =
        what.find(column == what.npos ? "] " : ": ", column == what.npos ? 0 : column);
    if (begin != what.npos) what.remove_prefix(begin + 2);
    Throw(position > 0 ? position - 1 : 0,
          Printable(what, 240) + "; check that it is whole, and JSON");
  }

 private:
  struct Frame {
    Json value;
    std::string key;             // of the member that comes next, in an object
    std::set<std::string> keys;  // seen so far
  };

  std::size_t Reached() const { return ToSize(*reached_ - text_.data()); }

  [[noreturn]] void Throw(std::size_t offset, const std::string& what) const {
    std::size_t line = 1;
    std::size_t column = 1;
    for (std::size_t i = 0; i < offset && i < text_.size(); ++i) {
      ++column;
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      }
    }
    throw Error(ErrorCode::kCorruptData, "{}: line {}, column {}: {}", name_, line, column, what);
  }

  bool Open(Json value) {
    if (open_.size() == kMaxDepth) {
      Throw(Reached() > 0 ? Reached() - 1 : 0,
            fmt::format("nested deeper than {} levels, the most that is read; check that it is the "
                        "file that is meant",
                        kMaxDepth));
    }
    open_.push_back({std::move(value), {}, {}});
    return true;
  }

  bool Close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  bool Add(Json value) {
    if (++values_ > max_values_) {
      throw Error(ErrorCode::kExhausted, "{}: holds more than {} values, the most that are read",
                  name_, max_values_);
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Frame& frame = open_.back();
    if (frame.value.is_array()) {
      frame.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      Json::object_t::Container& members = frame.value.get_ref<Json::object_t&>();
      members.emplace_back(std::move(frame.key), std::move(value));
    }
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  const char* const* reached_;
  const Index max_values_;
  Index values_ = 0;
  std::vector<Frame> open_;
  Json root_;
};

}  // namespace

Json ParseJson(std::string_view text, const std::string& name, Index max_values) {
  const char* reached = text.data();
  Builder builder(text, name, &reached, max_values);
  const CountingIterator begin(text.data(), &reached);
  const CountingIterator end(text.data() + text.size(), &reached);
  if (!Json::sax_parse(begin, end, &builder)) {
    throw Error(ErrorCode::kInternal, "{}: the JSON parser stopped without a reason", name);
  }
  return builder.Take();
}

Json ReadJsonFile(const std::filesystem::path& path, Index max_bytes) {
  const std::string name = PathText(path);
  const std::string text = ReadTextFile(path, max_bytes);
  RefuseStandIn(text, name);
  return ParseJson(text, name);
}

template <typename T>
T JsonField(const Json& object, const char* key, const std::string& name) {
  if (!object.is_object()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: a JSON object with \"{}\" is wanted, this is of type {}; correct it", name,
                key, object.type_name());
  }
  const auto found = object.find(key);
  if (found == object.end()) {
    throw Error(ErrorCode::kCorruptData, "{}: \"{}\" is missing; check that the file is complete",
                name, key);
  }
  const Json& value = *found;
  const auto refuse = [&](const char* wanted) {
    throw Error(ErrorCode::kCorruptData, "{}: \"{}\" must be {}, it is {}; correct it", name, key,
                wanted, JsonExcerpt(value));
  };
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) refuse("true or false");
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    if (!value.is_number_integer()) refuse("a whole number");
    if (value.is_number_unsigned() &&
        value.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      refuse("a whole number below 2^63");
    }
  } else if constexpr (std::is_same_v<T, double>) {
    if (!value.is_number()) refuse("a number");
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) refuse("a string");
  }
  if constexpr (std::is_same_v<T, Json>) {
    return value;
  } else {
    return value.template get<T>();
  }
}

template bool JsonField<bool>(const Json&, const char*, const std::string&);
template std::int64_t JsonField<std::int64_t>(const Json&, const char*, const std::string&);
template double JsonField<double>(const Json&, const char*, const std::string&);
template std::string JsonField<std::string>(const Json&, const char*, const std::string&);
template Json JsonField<Json>(const Json&, const char*, const std::string&);

Json JsonList(const Json& object, const char* key, const std::string& name) {
  Json list = JsonField<Json>(object, key, name);
  if (list.is_array()) return list;
  throw Error(ErrorCode::kCorruptData, "{}: \"{}\" must be a list, it is {}; correct it", name, key,
              JsonExcerpt(list));
}

std::string DumpJson(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string JsonExcerpt(const Json& value) { return Printable(DumpJson(value), 80); }

}  // namespace cliplens
