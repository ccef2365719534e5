#include "cliplens/report/heat_map_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/model/preprocess.h"
#include "cliplens/report/json.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

// Of the full colour, so that the picture shows through.
constexpr double kStrongest = 0.82;
// How much of the picture is left beside what the model looks at.
constexpr double kBeside = 0.25;

Color Tint(Color under, double value, double scale) {
  const double strength = std::min(1.0, std::abs(value) / scale) * kStrongest;
  return Mix(under, value < 0 ? kAgainstColor : kForColor, strength);
}

// Grey, and lighter than it is: colours are read against it.
Color Pale(const std::uint8_t* pixel) {
  const double luminance = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
  const auto grey = static_cast<std::uint8_t>(std::lround(70 + luminance * 0.70));
  return {grey, grey, grey};
}

GridRegion Scaled(const MappedPicture& picture, Index width, Index height) {
  const double x = static_cast<double>(width) / static_cast<double>(picture.rgb.width);
  const double y = static_cast<double>(height) / static_cast<double>(picture.rgb.height);
  const GridRegion& r = picture.region;
  return {r.left * x, r.top * y, r.right * x, r.bottom * y};
}

Image SameSize(const MappedPicture& picture, Index width, Index height) {
  return Resize(picture.rgb, width, height, Interpolation::kBicubic);
}

bool Covers(const PixelRegion& pixels, Index x, Index y) {
  return x >= pixels.x.begin && x < pixels.x.end && y >= pixels.y.begin && y < pixels.y.end;
}

void Put(Image& image, Index x, Index y, Color color) {
  std::uint8_t* pixel = image.pixels.data() + 3 * (y * image.width + x);
  pixel[0] = color.red;
  pixel[1] = color.green;
  pixel[2] = color.blue;
}

// A thin dark line on a light one, so that it shows on any picture.
void Outline(Image& image, const PixelRegion& pixels) {
  const auto line = [&](Index inset, Color color) {
    const Index left = pixels.x.begin + inset, right = pixels.x.end - 1 - inset;
    const Index top = pixels.y.begin + inset, bottom = pixels.y.end - 1 - inset;
    if (left > right || top > bottom) return;
    for (Index x = left; x <= right; ++x) {
      Put(image, x, top, color);
      Put(image, x, bottom, color);
    }
    for (Index y = top; y <= bottom; ++y) {
      Put(image, left, y, color);
      Put(image, right, y, color);
    }
  };
  line(1, kPaper);
  line(0, kInk);
}

// What a panel's map is of, as one line.
std::string Title(const HeatMapPanel& panel) {
  return panel.against.empty() ? panel.text
                               : fmt::format("{}  \u2212  {}", panel.text, panel.against);
}

bool AllHeads(const HeatMapPanel& panel) { return panel.heads_text == "heads all"; }

Json RestJson(const MappedPicture& picture, const ScoreRest& rest) {
  Json json = Json::object();
  for (const RestPart& part : RestParts(picture, rest)) json[part.key] = part.score;
  json["other_heads"] = rest.other_heads;
  return json;
}

}  // namespace

double RoundScale(double value) {
  if (!(value > 0)) return 1;
  constexpr std::array<double, 9> kSteps = {1, 1.5, 2, 3, 4, 5, 6, 8, 10};
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double step : kSteps) {
    if (value <= step * power * (1 + 1e-12)) return step * power;
  }
  return 10 * power;
}

FittedSize FitInto(const Image& picture, Index side) {
  const double scale =
      static_cast<double>(side) / static_cast<double>(std::max(picture.width, picture.height));
  const auto fit = [&](Index n) {
    return std::max<Index>(1, std::llround(static_cast<double>(n) * scale));
  };
  return {fit(picture.width), fit(picture.height)};
}

Image DrawMap(const MappedPicture& picture, ArrayView<const double, 2> grid, double scale,
              Index width, Index height) {
  Image image = SameSize(picture, width, height);
  const GridRegion region = Scaled(picture, width, height);
  const PixelRegion pixels = PixelsOf(region, width, height);
  const Array<double, 2> map = MapOnPicture(grid, region, width, height);
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      const Color pale = Pale(image.pixels.data() + 3 * (y * width + x));
      Put(image, x, y,
          Covers(pixels, x, y) ? Tint(pale, map(y, x), scale) : Mix(kPaper, pale, kBeside));
    }
  }
  return image;
}

Image DrawInput(const MappedPicture& picture, Index width, Index height) {
  Image image = SameSize(picture, width, height);
  const PixelRegion pixels = PixelsOf(Scaled(picture, width, height), width, height);
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      if (Covers(pixels, x, y)) continue;
      const std::uint8_t* pixel = image.pixels.data() + 3 * (y * width + x);
      Put(image, x, y, Mix(kPaper, {pixel[0], pixel[1], pixel[2]}, 0.45));
    }
  }
  if (pixels.x.size() < width || pixels.y.size() < height) Outline(image, pixels);
  return image;
}

Color MapColor(double value) {
  constexpr Color kMiddle{214, 214, 214};
  return Tint(kMiddle, value, 1);
}

double ScaleOf(const HeatMapReport& report) {
  if (report.scale) return *report.scale;
  double largest = 0;
  for (const HeatMapPanel& panel : report.panels) {
    for (const double v : panel.map.grid.flat()) largest = std::max(largest, std::abs(v));
  }
  return RoundScale(largest);
}

void DrawScale(Canvas& canvas, Index x, Index y, Index width, double scale) {
  constexpr Index kHeight = 12;
  for (Index i = 0; i < width; ++i) {
    const double value = 2.0 * static_cast<double>(i) / static_cast<double>(width - 1) - 1.0;
    canvas.Fill(x + i, y, 1, kHeight, MapColor(value));
  }
  canvas.Frame(x, y, width, kHeight, kHairline);
  for (const auto& [at, text] :
       {std::pair{0.0, fmt::format("\u2212{:g}", scale)}, std::pair{0.5, std::string("0")},
        std::pair{1.0, fmt::format("+{:g}", scale)}}) {
    const auto place = x + static_cast<Index>(at * static_cast<double>(width - 1));
    canvas.Fill(place, y + kHeight, 1, 4, kMuted);
    canvas.Text({.x = place,
                 .y = y + kHeight + 17,
                 .size = 12,
                 .color = kMuted,
                 .align = at == 0   ? TextAlign::kLeft
                          : at == 1 ? TextAlign::kRight
                                    : TextAlign::kMiddle},
                text);
  }
}

std::vector<RestPart> RestParts(const MappedPicture& picture, const ScoreRest& rest) {
  std::vector<RestPart> parts;
  if (picture.class_token) parts.push_back({"class token", "class_token", rest.pooled_token});
  if (picture.registers) parts.push_back({"registers", "registers", rest.registers});
  const bool blocks = picture.level == Level::kBlocks;
  if (blocks) parts.push_back({"MLPs", "mlps", rest.mlps});
  if (picture.pool_mlp) parts.push_back({"POOL.MLP", "pool_mlp", rest.pool_mlp});
  if (blocks) parts.push_back({"INPUT", "input", rest.input});
  return parts;
}

std::string RestText(std::span<const RestPart> parts) {
  std::string out;
  for (const RestPart& part : parts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", part.name, FormatSigned(part.score, 4));
  }
  return out;
}

Image HeatMapSheet(const HeatMapReport& report) {
  const auto count = static_cast<Index>(report.panels.size()) + 1;
  const Index columns = std::min<Index>(count, 4);
  const Index rows = (count + columns - 1) / columns;
  const Index side = count <= 3 ? 360 : 280;
  constexpr Index kGap = 24;
  constexpr Index kMargin = 28;
  constexpr Index kHeader = 64;
  constexpr Index kTitle = 48;    // two lines above a picture
  constexpr Index kFigures = 62;  // three lines below it
  constexpr Index kLegend = 64;
  const FittedSize size = FitInto(report.picture.rgb, side);
  const Index cell_width = std::max<Index>(size.width, 230);
  const Index cell_height = kTitle + size.height + kFigures;
  Canvas canvas(std::max<Index>(2 * kMargin + columns * cell_width + (columns - 1) * kGap, 560),
                kHeader + rows * cell_height + kLegend);
  const Index room = canvas.width() - 2 * kMargin;
  canvas.Text({.x = kMargin, .y = 32, .size = 18}, "Where the score comes from", room);
  const std::string heads = report.panels.empty() ? "" : report.panels.front().heads_text;
  canvas.Text({.x = kMargin, .y = 52, .size = 12, .color = kMuted},
              fmt::format("{}  \u00b7  model {}  \u00b7  {}", report.picture.path,
                          report.picture.model_name, heads),
              room);
  const double scale = ScaleOf(report);
  for (Index i = 0; i < count; ++i) {
    const Index x = kMargin + i % columns * (cell_width + kGap);
    const Index y = kHeader + i / columns * cell_height;
    const Index picture_y = y + kTitle;
    const auto line = [&](Index n, Color color, std::string_view text) {
      canvas.Text({.x = x, .y = picture_y + size.height + 4 + 16 * n, .size = 12, .color = color},
                  text, cell_width);
    };
    if (i == 0) {
      canvas.Text({.x = x, .y = picture_y - 8, .size = 13, .color = kMuted}, "the picture");
      canvas.Paste(DrawInput(report.picture, size.width, size.height), x, picture_y);
      const PixelRegion pixels =
          PixelsOf(report.picture.region, report.picture.rgb.width, report.picture.rgb.height);
      line(1, kMuted,
           pixels.x.size() < report.picture.rgb.width || pixels.y.size() < report.picture.rgb.height
               ? "framed: what the model looks at"
               : "the model looks at all of it");
      continue;
    }
    const HeatMapPanel& panel = At(report.panels, i - 1);
    const std::vector<std::string> title = canvas.Wrap(Title(panel), 13, cell_width, 2);
    for (std::size_t n = 0; n < title.size(); ++n) {
      const auto below = static_cast<Index>(title.size() - 1 - n);
      canvas.Text({.x = x, .y = picture_y - 8 - 17 * below, .size = 13}, title[n]);
    }
    canvas.Paste(DrawMap(report.picture, panel.map.grid, scale, size.width, size.height), x,
                 picture_y);
    const ScoreRest& rest = panel.map.rest;
    const std::vector<RestPart> parts = RestParts(report.picture, rest);
    line(1, kInk,
         fmt::format("score {} = patches {}", FormatFixed(panel.map.score, 4),
                     FormatSigned(panel.map.grid_sum(), 4)));
    line(2, kMuted, RestText(std::span(parts).first(parts.size() - 1)));
    line(3, kMuted,
         AllHeads(panel) ? fmt::format("INPUT {}", FormatSigned(rest.input, 4))
                         : fmt::format("INPUT {}, other heads {}", FormatSigned(rest.input, 4),
                                       FormatSigned(rest.other_heads, 4)));
  }
  const Index legend = kHeader + rows * cell_height + 8;
  const Index bar = std::min<Index>(300, room / 2);
  DrawScale(canvas, kMargin, legend, bar, scale);
  canvas.Text({.x = kMargin + bar + 18, .y = legend + 11, .size = 12, .color = kMuted},
              "of the score, by patch: red speaks for the text, blue against it", room - bar - 18);
  return canvas.image();
}

std::string HeatMapTable(const HeatMapReport& report) {
  std::vector<TableColumn> columns = {
      {"text"}, {"score", Align::kRight}, {"patches", Align::kRight}};
  for (const RestPart& part : RestParts(report.picture, {})) {
    columns.push_back({part.name, Align::kRight});
  }
  columns.push_back({"other heads", Align::kRight});
  Table table(columns);
  const auto number = [](double v) { return FormatNumber(v, 4); };
  double missed = 0;
  bool alike = true;
  for (const HeatMapPanel& panel : report.panels) {
    const ScoreRest& rest = panel.map.rest;
    std::vector<std::string> cells = {
        panel.against.empty() ? panel.text : fmt::format("{} - {}", panel.text, panel.against),
        number(panel.map.score), number(panel.map.grid_sum())};
    for (const RestPart& part : RestParts(report.picture, rest)) {
      cells.push_back(number(part.score));
    }
    cells.push_back(number(rest.other_heads));
    table.AddRow(std::move(cells));
    missed = std::max(missed, std::abs(panel.map.sum() - panel.map.score));
    alike = alike && panel.heads_text == report.panels.front().heads_text;
  }
  std::string out = fmt::format("{}: {} x {}, {}\n\n", report.picture.path,
                                report.picture.rgb.width, report.picture.rgb.height,
                                alike && !report.panels.empty() ? report.panels.front().heads_text
                                                                : std::string("heads as named"));
  out += table.Render();
  out += fmt::format("\npatches and the rest add up to the score within {:.1e}\n", missed);
  return out;
}

Json GridJson(ArrayView<const double, 2> grid) {
  Json rows = Json::array();
  for (Index y = 0; y < grid.dim(0); ++y) {
    const std::span<const double> row = grid.row(y);
    rows.push_back(std::vector<double>(row.begin(), row.end()));
  }
  return rows;
}

Json MappedPictureJson(const char* format, const MappedPicture& picture) {
  Json json = {
      {"format", format},
      {"model", picture.model_name},
      {"fingerprint", picture.fingerprint},
      {"precision", picture.precision},
      {"image", picture.path},
      {"width", picture.rgb.width},
      {"height", picture.rgb.height},
      {"region",
       {picture.region.left, picture.region.top, picture.region.right, picture.region.bottom}}};
  PutOriented(json, picture.oriented);
  return json;
}

Json HeatMapJson(const HeatMapReport& report) {
  if (report.panels.empty()) throw Error(ErrorCode::kInvalidArgument, "heat maps: none to write");
  const MappedPicture& picture = report.picture;
  const HeatMap& first = report.panels.front().map;
  Json json = MappedPictureJson("cliplens.heatmap/1", picture);
  json["text"] = report.panels.front().text;
  json["score"] = first.score;
  json["map"] = GridJson(first.grid);
  json["rest"] = RestJson(picture, first.rest);
  Json maps = Json::array();
  for (const HeatMapPanel& panel : report.panels) {
    Json map = {{"text", panel.text}};
    if (!panel.against.empty()) map["against"] = panel.against;
    map["heads"] = HeadNamesJson(panel.heads);
    map["score"] = panel.map.score;
    map["sum"] = panel.map.sum();
    map["map_sum"] = panel.map.grid_sum();
    map["map"] = GridJson(panel.map.grid);
    map["rest"] = RestJson(picture, panel.map.rest);
    maps.push_back(map);
  }
  json["maps"] = maps;
  return json;
}

}  // namespace cliplens
