#include "cliplens/report/explanation_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/table.h"
#include "cliplens/report/through_report.h"

namespace cliplens {
namespace {

std::string Number(double v) { return FormatNumber(v, 4); }

std::string Title(const ExplanationReport& report) {
  if (report.against.empty()) return report.text;
  const std::string kind = report.against_kind == "runner-up" ? " (the runner-up)" : std::string();
  return fmt::format("{} \u2212 {}{}", report.text, report.against, kind);
}

std::string ComponentText(const ExplanationReport& report, Index number) {
  return NameOf(report.components().at(number));
}

std::string LabelOf(const ExplanationReport& report, Index number) {
  if (!report.components().IsHead(number)) return {};
  const auto found = report.labels.find(report.components().HeadAt(number));
  return found == report.labels.end() ? std::string() : found->second;
}

std::vector<double> PatchSums(const Explanation& e) {
  std::vector<double> sums;
  for (Index i = 0; i < e.patch_part.dim(1); ++i) sums.push_back(e.of_patch(i));
  return sums;
}

double SumOf(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// What part `j` brings through no patch.
ScoreRest RestOfPart(const Explanation& e, Index j) {
  return {.pooled_token = At(e.class_token, j),
          .registers = At(e.registers, j),
          .mlps = At(e.mlps, j),
          .pool_mlp = At(e.pool_mlp, j),
          .input = At(e.input, j)};
}
ScoreRest RestOfAll(const Explanation& e) {
  return {.pooled_token = SumOf(e.class_token),
          .registers = SumOf(e.registers),
          .mlps = SumOf(e.mlps),
          .pool_mlp = SumOf(e.pool_mlp),
          .input = SumOf(e.input)};
}

void AddComponents(std::string& out, const ExplanationReport& report, bool against) {
  const std::vector<Index> side = ComponentsOfSide(report, against);
  std::vector<TableColumn> columns = {{against ? "against" : "for"}, {"score", Align::kRight}};
  if (!report.labels.empty()) columns.push_back({"label"});
  Table table(columns);
  for (const Index number : side) {
    std::vector<std::string> cells = {ComponentText(report, number),
                                      Number(At(report.explanation.components, number))};
    if (!report.labels.empty()) cells.push_back(LabelOf(report, number));
    table.AddRow(cells);
  }
  out += table.Render() + "\n";
}

ArrayView<const double, 2> GridView(const double* values, Index grid) {
  return {values, {grid, grid}};
}

}  // namespace

std::vector<Index> RankedComponents(const Explanation& explanation) {
  std::vector<Index> order(explanation.components.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, [&](Index a, Index b) {
    return At(explanation.components, a) > At(explanation.components, b);
  });
  return order;
}

std::vector<Index> ComponentsOfSide(const ExplanationReport& report, bool against) {
  std::vector<Index> ranked = RankedComponents(report.explanation);
  if (against) std::ranges::reverse(ranked);
  std::vector<Index> side;
  for (const Index number : ranked) {
    const double score = At(report.explanation.components, number);
    if (static_cast<Index>(side.size()) == report.top || (against ? score >= 0 : score <= 0)) break;
    side.push_back(number);
  }
  return side;
}

std::string PartText(const TextPart& part) {
  std::string text = part.kind == TextPartKind::kInput  ? "text INPUT"
                     : part.kind == TextPartKind::kMlps ? "text MLPs"
                                                        : Printable(part.text);
  return part.against ? "\u2212 " + text : text;
}

std::string ExplanationTable(const ExplanationReport& report) {
  const Explanation& e = report.explanation;
  std::string out =
      fmt::format("{}: {}\nscore {}\n\n", report.picture.path, Title(report), Number(e.score));
  AddComponents(out, report, false);
  AddComponents(out, report, true);
  out += fmt::format("all {} components: {}", e.components.size(), Number(SumOf(e.components)));
  if (report.picture.class_token) {
    out += fmt::format(", of which {} {}",
                       report.picture.pools_class_token ? "the class token's attention to itself"
                                                        : "attention to the class token",
                       Number(SumOf(e.class_to_class)));
  }
  out += "\n\n";
  std::vector<TableColumn> columns = {
      {"word"}, {"score", Align::kRight}, {"patches", Align::kRight}};
  for (const RestPart& part : RestParts(report.picture, {})) {
    columns.push_back({part.name, Align::kRight});
  }
  columns.push_back({"strongest patch", Align::kRight});
  Table words(columns);
  const auto add = [&](std::string name, double score, double of_patches, const ScoreRest& rest,
                       std::string strongest) {
    std::vector<std::string> cells = {std::move(name), Number(score), Number(of_patches)};
    for (const RestPart& part : RestParts(report.picture, rest)) {
      cells.push_back(Number(part.score));
    }
    cells.push_back(std::move(strongest));
    words.AddRow(std::move(cells));
  };
  for (Index j = 0; j < e.patch_part.dim(0); ++j) {
    const std::span<const double> row = e.patch_part.row(j);
    const Index strongest =
        std::ranges::max_element(row, {}, [](double v) { return std::abs(v); }) - row.begin();
    add(PartText(At(e.parts, j)), e.of_part(j), SumOf(row), RestOfPart(e, j),
        fmt::format("{} at row {}, column {}", Number(At(row, strongest)),
                    strongest / report.grid + 1, strongest % report.grid + 1));
  }
  const std::vector<double> patches = PatchSums(e);
  add("all", e.sum, SumOf(patches), RestOfAll(e), "");
  out += words.Render();
  if (report.through) out += "\n" + ThroughTable(*report.through, report.grid);
  out += fmt::format(
      "\nthe sum over components differs from the score by {:.1e}, that over patches and words by "
      "{:.1e}\n",
      std::abs(SumOf(e.components) - e.score), std::abs(e.sum - e.score));
  return out;
}

Json ExplanationJson(const ExplanationReport& report) {
  const Explanation& e = report.explanation;
  const MappedPicture& picture = report.picture;
  Json json = MappedPictureJson("cliplens.explain/1", picture);
  json["text"] = report.text;
  if (!report.against.empty()) {
    json["against"] = report.against;
    json["against_kind"] = report.against_kind;
  }
  json["score"] = e.score;
  json["sum_of_components"] = SumOf(e.components);
  json["sum"] = e.sum;
  Json components = Json::array();
  for (const Index number : RankedComponents(e)) {
    Json component = {{"component", ComponentText(report, number)},
                      {"score", At(e.components, number)}};
    if (const std::string label = LabelOf(report, number); !label.empty()) {
      component["label"] = label;
    }
    components.push_back(component);
  }
  json["components"] = components;
  if (picture.class_token) json["class_to_class"] = e.class_to_class;
  Json words = Json::array();
  for (Index j = 0; j < e.patch_part.dim(0); ++j) {
    const auto at = ToSize(j);
    Json word = {{"text", e.parts[at].text},
                 {"kind", NameOf(e.parts[at].kind)},
                 {"against", e.parts[at].against},
                 {"score", e.of_part(j)},
                 {"patches", SumOf(e.patch_part.row(j))}};
    for (const RestPart& part : RestParts(picture, RestOfPart(e, j))) word[part.key] = part.score;
    words.push_back(std::move(word));
  }
  json["words"] = words;
  json["patch_word"] = GridJson(e.patch_part);
  json["map"] = GridJson(GridView(PatchSums(e).data(), report.grid));
  json["rest"] = Json::object();
  for (const RestPart& part : RestParts(picture, RestOfAll(e))) {
    json["rest"][part.key] = part.score;
  }
  if (report.through) json["through"] = ThroughJson(*report.through);
  return json;
}

namespace {

double LargestOf(std::span<const double> values) {
  double most = 0;
  for (const double v : values) most = std::max(most, std::abs(v));
  return most;
}

// The sheet, drawn from top to bottom: a title; the picture, its map and the components side by
// side; a small map for each word; a legend; with `through` a layer's neurons.
class ExplanationDrawing {
 public:
  explicit ExplanationDrawing(const ExplanationReport& report)
      : report_(report),
        for_(ComponentsOfSide(report, false)),
        against_(ComponentsOfSide(report, true)),
        parts_(report.explanation.patch_part.dim(0)),
        size_(FitInto(report.picture.rgb, kSide)),
        small_(FitInto(report.picture.rgb, kSmallSide)),
        upper_(std::max(size_.height + 60, Bars() * kRow + 62)),
        rows_((parts_ + kColumns - 1) / kColumns),
        words_end_(kHeader + upper_ + 34 + rows_ * CellHeight() + 62),
        canvas_(kWidth, words_end_ + HeightOfNeurons()) {}

  Image Draw() {
    DrawTitle();
    DrawMaps();
    DrawComponents();
    DrawWords();
    if (report_.through) {
      DrawThrough(canvas_, *report_.through, report_.picture, kMargin, words_end_ + 12, kRoom);
    }
    return canvas_.image();
  }

 private:
  static constexpr Index kMargin = 28;
  static constexpr Index kHeader = 84;
  static constexpr Index kSide = 260;
  static constexpr Index kSmallSide = 112;
  static constexpr Index kGap = 22;
  static constexpr Index kRow = 20;
  static constexpr Index kBars = 480;
  static constexpr Index kNames = 66;
  static constexpr Index kNumbers = 62;
  static constexpr Index kLabels = 120;
  static constexpr Index kWidth = 2 * kMargin + 2 * kSide + 2 * kGap + kBars;
  static constexpr Index kRoom = kWidth - 2 * kMargin;
  static constexpr Index kColumns = (kRoom + 16) / (kSmallSide + 16);
  static constexpr Index kMapX = kMargin + kSide + kGap;
  static constexpr Index kBarX = kMapX + kSide + kGap;

  Index Bars() const { return std::ssize(for_) + std::ssize(against_); }
  Index CellHeight() const { return small_.height + 44; }
  Index HeightOfNeurons() const {
    return report_.through ? 12 + ThroughHeight(*report_.through, report_.picture, kRoom) : 0;
  }

  void DrawTitle() {
    const Explanation& e = report_.explanation;
    canvas_.Text({.x = kMargin, .y = 32, .size = 18},
                 fmt::format("{}: score {}", Title(report_), FormatFixed(e.score, 4)), kRoom);
    canvas_.Text({.x = kMargin, .y = 52, .size = 12, .color = kMuted},
                 fmt::format("{}  \u00b7  model {}  \u00b7  {} components add up to it "
                             "within {:.0e}, patches \u00d7 words within {:.0e}",
                             report_.picture.path, report_.picture.model_name, e.components.size(),
                             std::abs(SumOf(e.components) - e.score), std::abs(e.sum - e.score)),
                 kRoom);
  }

  void DrawMaps() {
    const std::vector<double> sums = PatchSums(report_.explanation);
    const double scale = RoundScale(LargestOf(sums));
    canvas_.Text({.x = kMargin, .y = kHeader - 8, .size = 13, .color = kMuted}, "the picture");
    canvas_.Paste(DrawInput(report_.picture, size_.width, size_.height), kMargin, kHeader);
    canvas_.Text({.x = kMapX, .y = kHeader - 8, .size = 13, .color = kMuted},
                 fmt::format("patches: {} of the score", FormatSigned(SumOf(sums), 4)));
    canvas_.Paste(DrawMap(report_.picture, GridView(sums.data(), report_.grid), scale, size_.width,
                          size_.height),
                  kMapX, kHeader);
    DrawScale(canvas_, kMapX, kHeader + size_.height + 10, size_.width, scale);
  }

  // Name, bar, number and label of a component.
  void DrawBar(Index y, Index number, double longest, Color color) {
    const Index room = kBars - kNames - kNumbers - (report_.labels.empty() ? 0 : kLabels);
    const double score = At(report_.explanation.components, number);
    canvas_.Text({.x = kBarX + kNames - 8, .y = y + 14, .size = 12, .align = TextAlign::kRight},
                 ComponentText(report_, number));
    const auto length =
        std::max<Index>(1, std::llround(static_cast<double>(room) * std::abs(score) / longest));
    canvas_.Fill(kBarX + kNames, y + 3, length, kRow - 6, color);
    const Index end = kBarX + kNames + room + kNumbers;
    canvas_.Text({.x = end - 4, .y = y + 14, .size = 12, .align = TextAlign::kRight},
                 FormatSigned(score, 4));
    canvas_.Text({.x = end + 6, .y = y + 14, .size = 12, .color = kMuted}, LabelOf(report_, number),
                 kLabels - 6);
  }

  void DrawComponents() {
    const std::vector<double>& components = report_.explanation.components;
    const double longest = std::max(LargestOf(components), 1e-12);
    canvas_.Text({.x = kBarX, .y = kHeader - 8, .size = 13, .color = kMuted},
                 "components for and against");
    Index y = kHeader;
    for (const Index number : for_) {
      DrawBar(y, number, longest, kForColor);
      y += kRow;
    }
    y += 8;
    for (const Index number : against_) {
      DrawBar(y, number, longest, kAgainstColor);
      y += kRow;
    }
    const auto sum = [&](const std::vector<Index>& numbers) {
      return std::accumulate(numbers.begin(), numbers.end(), 0.0,
                             [&](double total, Index n) { return total + At(components, n); });
    };
    canvas_.Text({.x = kBarX + kNames, .y = y + 20, .size = 12, .color = kMuted},
                 fmt::format("{}: {}", Counted(std::ssize(components) - Bars(), "other component"),
                             FormatSigned(SumOf(components) - sum(for_) - sum(against_), 4)),
                 kBars - kNames);
  }

  void DrawWords() {
    const Explanation& e = report_.explanation;
    const double scale = RoundScale(LargestOf(e.patch_part.flat()));
    const Index words_y = kHeader + upper_ + 20;
    canvas_.Text({.x = kMargin, .y = words_y - 4, .size = 13, .color = kMuted},
                 "patches \u00d7 words: what each word brings to the score, and where");
    for (Index j = 0; j < parts_; ++j) {
      const Index x = kMargin + j % kColumns * (kSmallSide + 16);
      const Index top = words_y + 8 + j / kColumns * CellHeight();
      canvas_.Paste(DrawMap(report_.picture, GridView(e.patch_part.row(j).data(), report_.grid),
                            scale, small_.width, small_.height),
                    x, top);
      canvas_.Text({.x = x, .y = top + small_.height + 15, .size = 12}, PartText(At(e.parts, j)),
                   kSmallSide);
      canvas_.Text({.x = x, .y = top + small_.height + 30, .size = 12, .color = kMuted},
                   FormatSigned(e.of_part(j), 4));
    }
    const Index legend = words_y + 8 + rows_ * CellHeight() + 8;
    DrawScale(canvas_, kMargin, legend, 300, scale);
    canvas_.Text({.x = kMargin + 318, .y = legend + 11, .size = 12, .color = kMuted},
                 "of the score, by patch and word: red speaks for the text, blue against "
                 "it; below a word its sum over the whole picture",
                 kRoom - 318);
  }

  const ExplanationReport& report_;
  std::vector<Index> for_, against_;  // components
  Index parts_;
  FittedSize size_, small_;
  Index upper_;  // height of the upper part
  Index rows_;   // of words
  Index words_end_;
  Canvas canvas_;
};

}  // namespace

Image ExplanationSheet(const ExplanationReport& report) {
  return ExplanationDrawing(report).Draw();
}

}  // namespace cliplens
