use std::path::Path;

use roxmltree::{Document, Node};
use scarf_core::{Annotation, BBox, Classes, Size};

use super::{at, check_box};
use crate::{DataError, Place, Problem, files};

/// One annotation file of Pascal VOC.
#[derive(Clone, Debug, PartialEq)]
pub struct VocFile {
    /// The text of `filename`, as it stands; not to be trusted.
    pub filename: Option<String>,
    /// The image's size by the `size` tag.
    pub size: Size,
    /// Where the `size` tag stands.
    pub size_at: Place,
    /// The image's channels by the `depth` tag, where there is a number; not to be trusted.
    pub depth: Option<u32>,
    /// The objects, in the order of the file.
    pub annotations: Vec<Annotation>,
}

/// Reads one annotation file from its bytes; `path` is for the messages only.
pub fn parse(path: &Path, bytes: &[u8], classes: &Classes) -> Result<VocFile, DataError> {
    let document = document(path, bytes)?;
    let reader = Reader { path, document: &document };
    let root = document.root_element();
    if root.tag_name().name() != "annotation" {
        let found = root.tag_name().name();
        let problem =
            Problem::Malformed(format!("the root is <{found}>, expected Pascal VOC's <annotation>"));
        return Err(reader.error(root, problem));
    }
    let size_tag = reader.child(root, "size")?;
    let size = Size::new(reader.pixels(size_tag, "width")?, reader.pixels(size_tag, "height")?);
    let objects = root.children().filter(|node| node.has_tag_name("object"));
    Ok(VocFile {
        filename: tag(root, "filename").map(|node| content(node).to_owned()),
        size,
        size_at: reader.place(size_tag),
        depth: tag(size_tag, "depth").and_then(|node| content(node).parse().ok()),
        annotations: objects.map(|object| reader.object(object, size, classes)).collect::<Result<_, _>>()?,
    })
}

/// The names of the objects of an annotation file, each as often as it stands there; an empty one is wrong there, and no name.
pub(super) fn object_names(path: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let document = document(path, bytes)?;
    let objects = document.root_element().children().filter(|node| node.has_tag_name("object"));
    let names = objects.filter_map(|object| tag(object, "name")).map(content);
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn document<'a>(path: &Path, bytes: &'a [u8]) -> Result<Document<'a>, DataError> {
    let text = files::text(path, bytes)?;
    Document::parse(text).map_err(|error| {
        let place = Place { line: error.pos().row, column: error.pos().col };
        at(path, place)(Problem::Malformed(format!("not well-formed XML: {error}")))
    })
}

struct Reader<'a> {
    path: &'a Path,
    document: &'a Document<'a>,
}

/// The first child of that name.
fn tag<'a>(parent: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    parent.children().find(|node| node.has_tag_name(name))
}

/// The text of a tag without the space around it.
fn content<'a>(node: Node<'a, 'a>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

impl<'a> Reader<'a> {
    fn place(&self, node: Node<'_, '_>) -> Place {
        let place = self.document.text_pos_at(node.range().start);
        Place { line: place.row, column: place.col }
    }

    fn error(&self, node: Node<'_, '_>, problem: Problem) -> DataError {
        at(self.path, self.place(node))(problem)
    }

    fn child(&self, parent: Node<'a, 'a>, name: &'static str) -> Result<Node<'a, 'a>, DataError> {
        tag(parent, name).ok_or_else(|| {
            let parent_name = parent.tag_name().name().to_owned();
            self.error(parent, Problem::Missing { parent: parent_name, tag: name })
        })
    }

    fn value<T>(
        &self,
        node: Node<'a, 'a>,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, DataError> {
        read(content(node)).ok_or_else(|| {
            let (tag, found) = (node.tag_name().name().to_owned(), content(node).to_owned());
            self.error(node, Problem::Value { tag, found, expected })
        })
    }

    fn pixels(&self, parent: Node<'a, 'a>, name: &'static str) -> Result<u32, DataError> {
        let positive = |text: &str| text.parse().ok().filter(|&pixels: &u32| pixels > 0);
        self.value(self.child(parent, name)?, "a whole number of pixels above 0", positive)
    }

    fn coordinate(&self, parent: Node<'a, 'a>, name: &'static str) -> Result<f64, DataError> {
        let finite = |text: &str| text.parse().ok().filter(|v: &f64| v.is_finite());
        self.value(self.child(parent, name)?, "a number of pixels", finite)
    }

    /// A flag that may be missing: it is off then.
    fn flag(&self, parent: Node<'a, 'a>, name: &str) -> Result<bool, DataError> {
        let read = |text: &str| match text {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        };
        tag(parent, name).map_or(Ok(false), |node| self.value(node, "0 or 1", read))
    }

    fn object(&self, object: Node<'a, 'a>, size: Size, classes: &Classes) -> Result<Annotation, DataError> {
        let name = self.child(object, "name")?;
        let class = classes
            .index(content(name))
            .ok_or_else(|| self.error(name, Problem::unknown_class(content(name), classes.names())))?;
        let bounds = self.child(object, "bndbox")?;
        let [x1, y1, x2, y2] = ["xmin", "ymin", "xmax", "ymax"].map(|side| self.coordinate(bounds, side));
        let [x1, y1, x2, y2] = [x1?, y1?, x2?, y2?];
        check_box([x1, y1, x2, y2], size).map_err(|problem| self.error(bounds, problem))?;
        Ok(Annotation {
            difficult: self.flag(object, "difficult")?,
            truncated: self.flag(object, "truncated")?,
            ..Annotation::new(BBox::new(x1, y1, x2, y2), class)
        })
    }
}
