#include "cliplens/report/html_report.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/version.h"
#include "cliplens/model/pool_level.h"
#include "cliplens/report/assets.h"
#include "cliplens/report/comparison_section.h"
#include "cliplens/report/html_heads.h"
#include "cliplens/report/html_pictures.h"
#include "cliplens/report/html_sections.h"
#include "cliplens/report/html_shares.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/neuron_section.h"
#include "cliplens/report/score_section.h"

namespace cliplens {
namespace {

using html::Name;
using html::Percent;
using html::Put;

// Above this the certificate no longer says "the same embedding".
constexpr double kExactCertificate = 1e-3;
// Beside the title: heads, and pictures of each.
constexpr std::size_t kShownHeads = 3;
constexpr std::size_t kShownPictures = 5;
// What content security policies name a script or style by.
std::string HashSource(std::string_view hexadecimal) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2) {
    bytes.push_back(
        static_cast<std::uint8_t>(std::stoi(std::string(hexadecimal.substr(i, 2)), nullptr, 16)));
  }
  return "'sha256-" + EncodeBase64(bytes) + "'";
}

class Page {
 public:
  explicit Page(const ReportInput& input)
      : input_(input), pictures_(input.items, input.thumbnails), ranked_(input) {
    for (const ReportHead& head : input.heads) listed_.insert(head.id);
  }

  std::string Render() {
    PutHead();
    PutTitle();
    out_ += "<main>\n";
    PutCertificate();
    out_ += SharesSection(input_.shares, TermsOf(input_.model, input_.store.level), listed_);
    PutExtras();
    out_ += GlanceSection(input_, ranked_, pictures_);
    out_ += CardsSection(input_, ranked_, pictures_);
    PutMethod();
    out_ += "</main>\n";
    pictures_.PutThumbnails(out_);
    Put(out_, "<script>{}</script>\n</body>\n</html>\n", assets::kReportJs);
    return std::move(out_);
  }

 private:
  void PutHead() {
    Put(out_,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src {} {}; script-src {}; base-uri 'none'; form-action 'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<meta name=\"referrer\" content=\"no-referrer\">\n"
        "<meta name=\"generator\" content=\"cliplens {}\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n"
        "<title>{}: what its attention heads "
        "see</title>\n<style>{}</style>\n<style>{}</style>\n</head>\n"
        "<body>\n",
        HashSource(assets::kColoursCssSha256), HashSource(assets::kReportCssSha256),
        HashSource(assets::kReportJsSha256), kVersion, EscapeHtml(input_.store.model_name),
        assets::kColoursCss, assets::kReportCss);
  }

  void PutFact(std::string_view term, const std::string& description) {
    Put(out_, "<div><dt>{}</dt><dd>{}</dd></div>\n", term, description);
  }

  // How many pictures, of what kind, from where.
  std::string Pictures() const {
    const StoreInfo& store = input_.store;
    std::string text = FormatCount(store.images);
    for (const DataSource& source : store.data) {
      Put(text, "<br>{}{} <code>{}</code>",
          store.data.size() > 1 ? FormatCount(source.images) + " from " : "",
          EscapeHtml(source.kind), Name(source.root));
    }
    return text;
  }

  // Who writes: "36 attention heads, 6 MLPs and the input".
  std::string Writers() const {
    const Components terms = TermsOf(input_.model, input_.store.level);
    const std::string heads = Counted(terms.num_heads(), "attention head");
    std::string pool_mlp;
    if (const ComponentShare* pool = ShareOfPoolMlp(input_.shares)) {
      pool_mlp = fmt::format("POOL.MLP (the MLP behind the pool, {} of the variance)",
                             Percent(pool->share));
    }
    if (terms.level() == Level::kPool) {
      return heads + " of the pool" + (pool_mlp.empty() ? "" : " and " + pool_mlp);
    }
    return fmt::format("{}, {}{} and the input", heads, Counted(terms.layers(), "MLP"),
                       pool_mlp.empty() ? "" : ", " + pool_mlp);
  }

  void PutTitle() {
    const StoreInfo& store = input_.store;
    const ModelConfig& model = input_.model;
    Put(out_,
        "<header class=\"top\">\n<div class=\"opening\">\n<div>\n"
        "<p class=\"eyebrow\">cliplens report</p>\n<h1>{}</h1>\n"
        "<p class=\"deck\">What {} write into the image embedding, measured on "
        "{} and put into words with {}.</p>\n",
        Name(store.model_name), Writers(), Counted(store.images, "picture"),
        Counted(static_cast<Index>(input_.pool.texts.size()), "text"));
    out_ += "</div>\n";
    PutLargestHeads();
    out_ += "</div>\n<dl class=\"facts\">\n";
    PutFact(
        "Architecture",
        fmt::format("ViT, {} layers \u00d7 {} heads, patch {}, image {} \u00d7 {}, E = {}",
                    model.vision.layers, model.vision.heads, model.patch_size,
                    model.preprocess.image_size, model.preprocess.image_size, model.embed_width));
    if (store.level == Level::kPool) {
      PutFact("Level", "the attention pool; the layers before it are not split");
    }
    PutFact("Fingerprint", "<code>" + EscapeHtml(store.fingerprint) + "</code>");
    PutFact("Precision", fmt::format("{}{}", EscapeHtml(store.precision),
                                     store.stats_only                ? ", statistics only"
                                     : store.type == StoreType::kF16 ? ", stored as fp16"
                                                                     : ""));
    PutFact("Pictures", Pictures());
    PutFact("Text pool",
            fmt::format("{}, {}", Name(input_.pool.name),
                        Counted(static_cast<Index>(input_.pool.texts.size()), "text")));
    PutFact("Made with", fmt::format("cliplens {}", kVersion));
    out_ +=
        "</dl>\n"
        "<nav aria-label=\"Contents\"><a href=\"#certificate\">Certificate</a>"
        "<a href=\"#shares\">Shares</a>";
    if (input_.extras.labels) out_ += "<a href=\"#labels\">Labels</a>";
    if (!input_.neighbours.empty()) out_ += "<a href=\"#alike\">Alike</a>";
    if (input_.extras.ablation) out_ += "<a href=\"#ablation\">Ablation</a>";
    if (input_.extras.groups) out_ += "<a href=\"#groups\">Groups</a>";
    if (input_.extras.scores) out_ += "<a href=\"#scores\">One score</a>";
    if (input_.extras.neurons) out_ += "<a href=\"#neurons\">Neurons</a>";
    if (input_.extras.comparison) out_ += "<a href=\"#beside\">Before and after</a>";
    out_ +=
        "<a href=\"#glance\">All heads</a><a href=\"#heads\">Head by head</a><a "
        "href=\"#method\">How to read</a></nav>\n"
        "</header>\n";
  }

  // The heads with the largest shares, each by its first text and the pictures highest along it.
  void PutLargestHeads() {
    if (pictures_.empty()) return;
    out_ += "<div class=\"largest\">\n";
    for (std::size_t h = 0; h < std::min(kShownHeads, ranked_.heads.size()); ++h) {
      const ReportHead& head = *ranked_.heads[h].head;
      if (head.span.texts.empty() || head.extremes.empty()) continue;
      out_ += "<figure><div class=\"strip\">";
      pictures_.PutFirst(out_, head.extremes.front().highest, kShownPictures);
      Put(out_, "</div><figcaption><a href=\"#{0}\">{0}</a> {1} <q>{2}</q></figcaption></figure>\n",
          HeadName(head.id), Percent(ranked_.heads[h].share->share),
          Name(TextOfPool(input_.pool, head.span.texts.front())));
    }
    out_ += "</div>\n";
  }

  void PutCertificate() {
    const CertificateSummary& certificate = input_.store.certificate;
    Put(out_,
        "<section id=\"certificate\" class=\"certificate\" aria-labelledby=\"certificate-h\">\n"
        "<h2 id=\"certificate-h\">Does the sum come out?</h2>\n"
        "<dl class=\"figures\"><div><dt>largest error</dt><dd>{}</dd></div><div><dt>mean "
        "error</dt><dd>{}</dd></div></dl>\n<p>",
        FormatScientific(certificate.max), FormatScientific(certificate.mean));
    if (certificate.max <= kExactCertificate) {
      out_ +=
          "The contributions of all components, added up, give back the embedding that the model "
          "itself computes, up to this fraction of its length: the figures below split the "
          "embedding itself, not an approximation of it.";
    } else {
      out_ +=
          "The contributions of all components, added up, miss the embedding that the model itself "
          "computes by this fraction of its length: read the figures below as approximate.";
    }
    Put(out_,
        " <span class=\"muted\">\u2016\u03a3c \u2212 e\u2016 / \u2016e\u2016 over {}.</span></p>\n"
        "</section>\n",
        Counted(input_.store.images, "picture"));
  }

  void PutExtras() {
    const ReportExtras& extras = input_.extras;
    if (extras.labels) out_ += LabelSection(*extras.labels, listed_);
    PutNeighbours();
    if (extras.ablation) out_ += AblationSection(extras.ablation->setting, extras.ablation->result);
    if (extras.groups) out_ += GroupSection(*extras.groups);
    if (extras.scores) out_ += ScoreSection(*extras.scores, listed_);
    if (extras.neurons) out_ += NeuronSection(*extras.neurons, listed_);
    if (extras.comparison) out_ += ComparisonSection(*extras.comparison, listed_, pictures_);
  }

  void PutNeighbours() {
    if (input_.neighbours.empty()) return;
    out_ +=
        "<section id=\"alike\" class=\"alike\" aria-labelledby=\"alike-h\">\n<h2 "
        "id=\"alike-h\">Alike in one property</h2>\n<p>For each property that heads are labelled "
        "with, the pictures most like one picture: by the sum of what these heads write, and by "
        "the whole embedding (cosine about the mean of the pictures). <code>cliplens search</code> "
        "finds them.</p>\n<div class=\"alikes\">\n";
    for (const ReportNeighbours& one : input_.neighbours) {
      const LabelReport& labels = *input_.extras.labels;
      Put(out_, "<article><h3>{} <span class=\"muted\">{} {}</span></h3>\n",
          Name(labels.table.names.at(ToSize(one.property))), one.heads,
          one.heads == 1 ? "head" : "heads");
      pictures_.PutStrip(out_, "picture", {{one.query, 1}});
      pictures_.PutStrip(out_, "its heads", one.under_heads);
      pictures_.PutStrip(out_, "all", one.whole);
      out_ += "</article>\n";
    }
    out_ += "</div>\n</section>\n";
  }

  void PutMethod() {
    out_ +=
        "<section id=\"method\" class=\"method\" aria-labelledby=\"method-h\">\n"
        "<h2 id=\"method-h\">How to read this page</h2>\n"
        "<h3>Contributions</h3>\n<p>";
    out_ += input_.store.level == Level::kPool
                ? "An attention pool makes the image embedding e of the rows behind the last "
                  "layer. It adds up what its heads write, and so e is a sum of contributions c, "
                  "one for each head of the pool and one for the MLP behind it if there is one, "
                  "with constants shared evenly. The layers before the pool are not split "
                : "A vision transformer adds up what its parts write. Its image embedding e is "
                  "therefore a sum of contributions c, one for each attention head, each MLP and "
                  "the input, with the last layer norm\u2019s scale taken from the picture\u2019s "
                  "own forward pass and constants shared evenly ";
    out_ +=
        "(<cite>Interpreting CLIP\u2019s Image "
        "Representation via Text-Based Decomposition</cite>, ICLR 2024, arXiv 2310.05916).</p>\n"
        "<h3>Share of the variance</h3>\n<p>A component\u2019s share is \u03a3\u2009\u27e8c \u2212 "
        "mean c, e \u2212 mean e\u27e9 / \u03a3\u2009\u2016e \u2212 mean e\u2016\u00b2 over the "
        "pictures. Shares add up to one. A component that writes the same for every picture has "
        "none, however long its contribution. ";
    Put(out_,
        "The figure after \u00b1 is the standard error over {} disjoint slices of the "
        "pictures.</p>\n",
        input_.store.slices);
    out_ +=
        "<h3>Texts of a head</h3>\n<p>TextSpan (Algorithm 1 of the same paper) projects every text "
        "of the pool onto the directions in which the head writes, takes the text that explains "
        "most of the head\u2019s variance, removes that direction and goes on. <i>Rank</i> counts "
        "the directions in which texts were compared.</p>\n"
        "<h3>Pictures along a text</h3>\n<p>Highest and lowest are the pictures whose contribution "
        "from this head, its mean removed, agrees most and least with the text (their inner "
        "product). They are shown as the model reads them, resized and cropped.</p>\n"
        "<h3>Limits</h3>\n<ul><li>A text names what the pool offers. A head can be about something "
        "that no text of the pool says; then the texts explain little, or the nearest ones stand "
        "in for it.</li><li>One text may serve several heads, and a head may need several texts: "
        "the list spans a space, it is not a list of concepts.</li><li>The opposite of a text lies "
        "on the same direction. A text can be first because the head tells it from something "
        "else.</li><li>Figures hold for these pictures. Other pictures vary in other "
        "ways.</li></ul>\n</section>\n";
  }

  const ReportInput& input_;
  const PagePictures pictures_;
  const RankedHeads ranked_;
  std::set<HeadId> listed_;  // that have a card
  std::string out_;
};

}  // namespace

std::string RenderReport(const ReportInput& input) { return Page(input).Render(); }

}  // namespace cliplens
