use std::fmt::Write as _;
use std::path::Path;

use scarf_core::{Annotation, Classes, Size};

use super::VocLayout;
use crate::files;
use crate::{DataError, DataSet};

/// The text of an annotation file; [`super::parse`] gives back the same boxes, classes and flags.
///
/// # Panics
/// Where an annotation's class is not among the classes.
pub fn annotation_xml(filename: &str, size: Size, annotations: &[Annotation], classes: &Classes) -> String {
    let mut xml = format!(
        "<annotation>\n\t<filename>{}</filename>\n\t<size>\n\t\t<width>{}</width>\n\t\t<height>{}</height>\n\
         \t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n",
        escape(filename),
        size.width,
        size.height
    );
    for annotation in annotations {
        let name = classes.name(annotation.class).expect("the class of an annotation is one of the classes");
        let [x1, y1, x2, y2] = annotation.bbox.to_array();
        write!(
            xml,
            "\t<object>\n\t\t<name>{}</name>\n\t\t<truncated>{}</truncated>\n\t\t<difficult>{}</difficult>\n\
             \t\t<bndbox>\n\t\t\t<xmin>{x1}</xmin>\n\t\t\t<ymin>{y1}</ymin>\n\t\t\t<xmax>{x2}</xmax>\n\
             \t\t\t<ymax>{y2}</ymax>\n\t\t</bndbox>\n\t</object>\n",
            escape(name),
            u8::from(annotation.truncated),
            u8::from(annotation.difficult),
        )
        .expect("writing to a string succeeds");
    }
    xml.push_str("</annotation>\n");
    xml
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes the set in Pascal VOC's form: images are copied byte for byte, annotations made anew.
/// VOC knows no crowds and no areas: that flag is lost, and an area becomes its box's.
pub fn write(data: &DataSet, layout: &VocLayout) -> Result<(), DataError> {
    for sample in &data.samples {
        let filename = sample.image.file_name().unwrap_or_default();
        let xml =
            annotation_xml(&filename.to_string_lossy(), sample.size, &sample.annotations, &data.classes);
        files::write(&layout.images.join(filename), &files::read(&sample.image)?)?;
        files::write(
            &layout.annotations.join(Path::new(&sample.name)).with_added_extension("xml"),
            xml.as_bytes(),
        )?;
    }
    Ok(())
}
