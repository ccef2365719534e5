#include "cliplens/report/html_report.h"

#include <algorithm>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/base/version.h"
#include "cliplens/io/image.h"

namespace cliplens {
namespace {

// Pictures made of one colour each; the last one is broken.
class ColourSet : public ImageSet {
 public:
  explicit ColourSet(Index count) {
    for (Index i = 0; i < count; ++i)
      items_.push_back({"set/" + std::to_string(i) + ".png", {}, {}});
  }
  Index size() const override { return static_cast<Index>(items_.size()); }
  Item item(Index i) const override { return At(items_, i); }
  std::vector<std::uint8_t> Read(Index i) const override {
    if (i + 1 == size()) return {'n', 'o'};
    const Index side = i == 0 ? 300 : 80;
    Image image;
    image.mode = PixelMode::kRgb;
    image.width = image.height = side;
    for (Index k = 0; k < side * side; ++k) {
      image.pixels.insert(
          image.pixels.end(),
          {static_cast<std::uint8_t>(10 * i), static_cast<std::uint8_t>(i == 0 ? k * k : 90), 200});
    }
    return EncodePng(image);
  }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index) const override { return {}; }
  std::string kind() const override { return "folder"; }
  std::string root() const override { return "set"; }

 private:
  std::vector<Item> items_;
};

PreprocessConfig Square80() {
  PreprocessConfig config;
  config.image_size = 80;
  return config;
}

// A model of 2 layers x 2 heads, five pictures, three texts; L1.H0 has the largest share.
ReportInput SmallInput() {
  ReportInput input;
  input.store.model_name = "small";
  input.store.fingerprint = "0123456789abcdef";
  input.store.images = 5;
  input.store.slices = 4;
  input.store.data = {{.kind = "folder",
                       .root = "pictures/of <mine> & yours",
                       .split = {},
                       .images = 5,
                       .set_images = 5,
                       .set_checksum = "00"}};
  input.store.certificate = {7.43e-8, 2.1e-8};
  input.model.vision.layers = 2;
  input.model.vision.heads = 2;
  input.model.vision.width = 8;
  input.model.patch_size = 10;
  input.model.embed_width = 16;
  input.model.preprocess = Square80();
  input.pool = {"pool.txt", {"a duck", "<script>alert(1)</script>", "snow & \"ice\""}, {}};
  input.pool.properties = {"object", std::nullopt, "place"};
  input.shares = {{"L0.H0", 0, 0, 0.05, 0.01, 1},    {"L0.H1", 0, 1, -0.02, 0.01, 1},
                  {"L1.H0", 1, 0, 0.40, 0.02, 1},    {"L1.H1", 1, 1, 0.22, 0.02, 1},
                  {"INPUT", -1, -1, 0.01, 0.001, 1}, {"L0.MLP", 0, -1, 0.10, 0.01, 1},
                  {"L1.MLP", 1, -1, 0.24, 0.01, 1}};
  for (Index i = 0; i < 5; ++i) {
    input.items.push_back({"set/" + std::to_string(i) + ".png", {}, {}});
  }
  input.items[1].label = "duck";
  for (const HeadId id : {HeadId{0, 0}, HeadId{0, 1}, HeadId{1, 0}, HeadId{1, 1}}) {
    ReportHead head{id, {}, {}};
    head.span.rank = 7;
    head.span.texts = {{1, 0.5, 0.5, {}}, {0, 0.2, 0.7, {}}, {2, 0.05, 0.75, {}}};
    head.extremes = {{{{1, 0.3}, {2, 0.1}}, {{3, -0.2}, {0, -0.1}}}};
    input.heads.push_back(head);
  }
  const ColourSet images(6);
  input.thumbnails = MakeThumbnails(&images, input.items, {0, 1, 2, 3, 1, 2}, Square80(), 2);
  return input;
}

std::size_t Count(const std::string& page, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + 1))
    ++count;
  return count;
}

bool Has(const std::string& page, const std::string& what) {
  return page.find(what) != std::string::npos;
}

TEST(HtmlReport, SaysWhatWasMeasuredOnWhat) {
  const std::string page = RenderReport(SmallInput());
  EXPECT_TRUE(Has(page, "ViT, 2 layers \u00d7 2 heads, patch 10, image 80 \u00d7 80, E = 16"));
  EXPECT_TRUE(Has(page, "0123456789abcdef"));
  EXPECT_TRUE(Has(page, "pictures/of &lt;mine&gt; &amp; yours"));
  EXPECT_TRUE(Has(page, "3 texts"));
  EXPECT_TRUE(Has(page, "7.4 \u00d7 10<sup>\u22128</sup>"));
  EXPECT_TRUE(Has(page, "2.1 \u00d7 10<sup>\u22128</sup>"));
  EXPECT_TRUE(Has(page, std::string("cliplens ") + kVersion));
  EXPECT_TRUE(Has(page, "2310.05916"));
}

TEST(HtmlReport, TheSameInputGivesTheSameBytes) {
  EXPECT_EQ(RenderReport(SmallInput()), RenderReport(SmallInput()));
}

TEST(HtmlReport, NeedsNothingFromOutside) {
  const std::string page = RenderReport(SmallInput());
  EXPECT_FALSE(Has(page, "http:"));
  EXPECT_FALSE(Has(page, "https:"));
  EXPECT_FALSE(Has(page, "url("));
  EXPECT_FALSE(Has(page, "@import"));
  EXPECT_TRUE(Has(page, "default-src 'none'; img-src data:; style-src 'sha256-"));
  // Neither inline styles nor handlers, which the policy would refuse.
  EXPECT_FALSE(Has(page, " style=\""));
  EXPECT_FALSE(std::regex_search(page, std::regex("<[^>]* on[a-z]+=")));
}

TEST(HtmlReport, EscapesTextsOfOthers) {
  ReportInput input = SmallInput();
  input.store.model_name = "<img src=x onerror=alert(1)>";
  input.items[1].path = "\"><script>alert(2)</script>.png";
  input.items[2].path = "bad \xff\x01 bytes.png";
  const std::string page = RenderReport(input);
  EXPECT_EQ(Count(page, "<script>"), 1u);
  EXPECT_FALSE(Has(page, "<img"));
  EXPECT_TRUE(Has(page, "&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_TRUE(Has(page, "&quot;&gt;&lt;script&gt;alert(2)"));
  EXPECT_TRUE(Has(page, "bad \ufffd\ufffd bytes.png"));
}

TEST(HtmlReport, ShowsEveryShareAndLeadsToTheHeads) {
  const std::string page = RenderReport(SmallInput());
  EXPECT_TRUE(Has(page, "title=\"L1.H0: 40.0 \u00b1 2.0\u2009%\">40.0</a>"));
  EXPECT_TRUE(Has(page, "<td class=\"p10\"><a href=\"#L1.H0\""));
  EXPECT_TRUE(Has(page, "title=\"L0.H1: \u22122.0 \u00b1 1.0\u2009%\">\u22122.0</a>"));
  EXPECT_TRUE(Has(page, "title=\"L1.MLP: 24.0"));
  EXPECT_TRUE(Has(page, "title=\"INPUT: 1.0"));
  EXPECT_TRUE(Has(page, "add up to 100.0\u2009%"));
  EXPECT_TRUE(Has(page, ">Attention heads</dt><dd>65.0\u2009%"));
  EXPECT_TRUE(Has(page, ">MLPs</dt><dd>34.0\u2009%"));
  EXPECT_TRUE(Has(page, ">Input</dt><dd>1.0\u2009%"));
  std::set<std::string> ids;
  const std::regex id(" id=\"([^\"]*)\""), link("href=\"#([^\"]*)\"");
  for (std::sregex_iterator it(page.begin(), page.end(), id), end; it != end; ++it) {
    EXPECT_TRUE(ids.insert((*it)[1]).second) << (*it)[1];
  }
  for (std::sregex_iterator it(page.begin(), page.end(), link), end; it != end; ++it) {
    EXPECT_TRUE(ids.contains((*it)[1])) << (*it)[1];
  }
}

TEST(HtmlReport, LinksOnlyToHeadsOnThePage) {
  ReportInput input = SmallInput();
  input.heads.resize(1);
  const std::string page = RenderReport(input);
  EXPECT_TRUE(Has(page, "<a href=\"#L0.H0\" title="));
  EXPECT_TRUE(Has(page, "<span title=\"L1.H0: 40.0"));
  EXPECT_FALSE(Has(page, "href=\"#L1.H0\""));
}

TEST(HtmlReport, AHeadsPlaceIsAmongAllHeads) {
  ReportInput input = SmallInput();
  input.heads.resize(1);
  EXPECT_TRUE(Has(RenderReport(input), "<dd>3<small> of 4</small></dd>"));
}

TEST(HtmlReport, LargestShareComesFirst) {
  const std::string page = RenderReport(SmallInput());
  std::size_t last = 0;
  for (const char* name : {"L1.H0", "L1.H1", "L0.H0", "L0.H1"}) {
    const std::size_t at = page.find("<article class=\"head\" id=\"" + std::string(name) + "\"");
    ASSERT_NE(at, std::string::npos);
    EXPECT_GT(at, last);
    last = at;
  }
}

TEST(HtmlReport, StoresEachPictureOnce) {
  const ReportInput input = SmallInput();
  ASSERT_EQ(input.thumbnails.thumbnails.size(), 4u);
  const std::string page = RenderReport(input);
  EXPECT_EQ(Count(page, "href=\"data:image/"), 4u);
  EXPECT_EQ(Count(page, "<use href=\"#p1\"/>"), 11u);  // title, table and cards
  EXPECT_TRUE(Has(page, "<title>duck \u00b7 set/1.png \u00b7 +0.300</title>"));
}

TEST(HtmlReport, NamesPicturesThatAreGone) {
  ReportInput input = SmallInput();
  input.thumbnails = MakeThumbnails(nullptr, input.items, {0, 1, 2, 3}, Square80(), 1);
  const std::string page = RenderReport(input);
  EXPECT_TRUE(Has(page, "could not be read when this page was made"));
  EXPECT_TRUE(Has(page, "<bdi>duck \u00b7 set/1.png</bdi> +0.300"));
  EXPECT_FALSE(Has(page, "data:image/"));
}

TEST(HtmlReport, CountsPicturesThatCannotBeRead) {
  ReportInput input = SmallInput();
  const ColourSet images(4);  // 3 is broken, 4 is not there
  input.thumbnails = MakeThumbnails(&images, input.items, {1, 2, 3, 4}, Square80(), 1);
  EXPECT_EQ(input.thumbnails.missing, 2);
  const std::string page = RenderReport(input);
  EXPECT_TRUE(Has(page, "2 of 4 pictures could not be read"));
  EXPECT_TRUE(Has(page, "aria-label=\"set/3.png, not readable\""));
}

TEST(HtmlReport, SaysThatStatisticsHaveNoPictures) {
  ReportInput input = SmallInput();
  input.store.stats_only = true;
  for (ReportHead& head : input.heads) head.extremes.clear();
  input.thumbnails = {};
  EXPECT_TRUE(Has(RenderReport(input), "keeps statistics only"));
}

TEST(HtmlReport, SaysWhenTheSumDoesNotComeOut) {
  ReportInput input = SmallInput();
  input.store.certificate.max = 0.02;
  EXPECT_TRUE(Has(RenderReport(input), "read the figures below as approximate"));
}

TEST(HtmlReport, HeadWithoutTextsAndWithoutVariance) {
  ReportInput input = SmallInput();
  input.heads[0].span.texts.clear();
  input.heads[0].extremes.clear();
  for (ComponentShare& share : input.shares) share.share = 0;
  const std::string page = RenderReport(input);
  EXPECT_TRUE(Has(page, "No text explains any of its variance"));
  EXPECT_FALSE(Has(page, "nan"));
}

TEST(HtmlReport, ShowsNeighboursUnderEachProperty) {
  ReportInput input = SmallInput();
  EXPECT_EQ(RenderReport(input).find("id=\"alike\""), std::string::npos);
  LabelReport labels;
  labels.table.names = {"<colour>", "shape"};
  labels.table.texts = {{0, 1}, {0, 2}};
  labels.scores.association = labels.scores.consistency = std::vector<double>(6, 0.0);
  input.extras.labels = labels;
  input.neighbours = {{0, 3, 1, {{2, 0.9}, {3, 0.8}}, {{0, 0.7}}}};
  const std::string page = RenderReport(input);
  const std::string section = page.substr(page.find("id=\"alike\""));
  EXPECT_NE(section.find("&lt;colour&gt;"), std::string::npos);
  EXPECT_NE(section.find("3 heads"), std::string::npos);
  for (const char* shown : {"#p1\"", "#p2\"", "#p3\"", "#p0\""}) {
    EXPECT_NE(section.find(shown), std::string::npos) << shown;
  }
}

TEST(HtmlReport, RefusesWhatDoesNotFitTogether) {
  ReportInput input = SmallInput();
  input.heads[0].span.texts[0].index = 3;
  ExpectError(ErrorCode::kInvalidArgument, "text 3", [&] { RenderReport(input); });
  input = SmallInput();
  input.heads[0].extremes[0].highest[0].item = 5;
  ExpectError(ErrorCode::kInvalidArgument, "picture 5", [&] { RenderReport(input); });
  input = SmallInput();
  input.shares.erase(input.shares.begin());
  ExpectError(ErrorCode::kInvalidArgument, "L0.H0", [&] { RenderReport(input); });
}

TEST(Thumbnails, ShowWhatTheModelReadsAndStaySmall) {
  const ColourSet images(3);
  const std::vector<Item> items = {images.item(0), images.item(1)};
  PreprocessConfig config = Square80();
  config.image_size = 224;
  const ThumbnailSet set = MakeThumbnails(&images, items, {1, 0}, config, 1);
  ASSERT_EQ(set.thumbnails.size(), 2u);
  EXPECT_EQ(set.thumbnails[0].side, kThumbnailSide);  // 300 pixels of noise
  EXPECT_TRUE(set.thumbnails[0].data_uri.starts_with("data:image/webp;base64,"));
  EXPECT_EQ(set.thumbnails[1].side, 80);  // no larger than the picture
  EXPECT_TRUE(set.thumbnails[1].data_uri.starts_with("data:image/png;base64,"));
}

TEST(Thumbnails, APathOfTwoSetsIsNotMistaken) {
  const ColourSet images(3);
  const std::vector<Item> items = {images.item(0), images.item(0)};
  const ThumbnailSet set = MakeThumbnails(&images, items, {1}, Square80(), 1);
  EXPECT_EQ(set.missing, 1);
  EXPECT_TRUE(Has(set.first_reason, "set/0.png"));
}

TEST(Thumbnails, ANumberOutsideOfTheStoreIsRefused) {
  ExpectError(ErrorCode::kInvalidArgument, "picture 0",
              [&] { MakeThumbnails(nullptr, {}, {0}, Square80(), 1); });
}

}  // namespace
}  // namespace cliplens
