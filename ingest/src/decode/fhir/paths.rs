//! Where each resource type of FHIR R4 says what it is about, in which state, of whom, when and how much: a table, no branches.
//!
//! Paths are FHIR's own. The first of several that is there counts. What an element is (a concept, a reference, a period, an
//! age) is told by its shape, not here.

/// The paths of one resource type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paths {
    pub(super) kind: &'static str,
    /// What it is about: a concept, a code, or a reference to what has one.
    pub(super) code: &'static [&'static str],
    pub(super) category: &'static [&'static str],
    pub(super) status: &'static [&'static str],
    /// A second status that says how sure the first one is.
    pub(super) verification: &'static [&'static str],
    pub(super) subject: &'static [&'static str],
    pub(super) encounter: &'static [&'static str],
    /// From when it holds.
    pub(super) start: &'static [&'static str],
    /// Until when, if that is an element of its own.
    pub(super) end: &'static [&'static str],
    /// When it was written down.
    pub(super) recorded: &'static [&'static str],
    pub(super) value: &'static [&'static str],
    pub(super) identifier: &'static [&'static str],
    /// It tells of what was done or seen: that can't lie in the future.
    pub(super) done: bool,
}

type Names = &'static [&'static str];

impl Paths {
    const fn code(self, code: Names) -> Self {
        Self { code, ..self }
    }
    const fn category(self, category: Names) -> Self {
        Self { category, ..self }
    }
    const fn status(self, status: Names) -> Self {
        Self { status, ..self }
    }
    const fn verification(self, verification: Names) -> Self {
        Self { verification, ..self }
    }
    const fn subject(self, subject: Names) -> Self {
        Self { subject, ..self }
    }
    const fn encounter(self, encounter: Names) -> Self {
        Self { encounter, ..self }
    }
    const fn start(self, start: Names) -> Self {
        Self { start, ..self }
    }
    const fn end(self, end: Names) -> Self {
        Self { end, ..self }
    }
    const fn recorded(self, recorded: Names) -> Self {
        Self { recorded, ..self }
    }
    const fn value(self, value: Names) -> Self {
        Self { value, ..self }
    }
    const fn identifier(self, identifier: Names) -> Self {
        Self { identifier, ..self }
    }
    const fn done(self) -> Self {
        Self { done: true, ..self }
    }
}

/// A type with the elements that most types have.
const fn of(kind: &'static str) -> Paths {
    Paths {
        kind,
        code: &["code"],
        category: &["category"],
        status: &["status"],
        verification: &[],
        subject: &["subject", "patient"],
        encounter: &["encounter", "context"],
        start: &[],
        end: &[],
        recorded: &[],
        value: &[],
        identifier: &["identifier"],
        done: false,
    }
}

/// A definition: it is known by its canonical URL and about nobody.
const fn definition(kind: &'static str) -> Paths {
    of(kind)
        .code(&[])
        .category(&[])
        .subject(&[])
        .encounter(&[])
        .start(&["effectivePeriod"])
        .recorded(&["date"])
        .identifier(&["url", "identifier"])
}

/// A request: planned for a time, and written at one.
const fn request(kind: &'static str) -> Paths {
    of(kind).start(&["occurrence[x]", "authoredOn"]).recorded(&["authoredOn"])
}

/// Somebody or something that is active or not.
const fn active(kind: &'static str) -> Paths {
    of(kind).status(&["active"])
}

/// A type that is not in the table, of another version of FHIR or of nobody's: what such types usually have.
static UNKNOWN: Paths = of("")
    .start(&["effective[x]", "occurrence[x]", "performed[x]", "onset[x]", "period"])
    .recorded(&["issued", "recordedDate", "recorded", "authoredOn", "created", "date"])
    .value(&["value[x]"])
    .identifier(&["identifier", "url"]);

/// The paths of a type.
pub(super) fn paths(kind: &str) -> &'static Paths {
    let place = TABLE.binary_search_by(|paths| paths.kind.cmp(kind));
    place.map_or(&UNKNOWN, |place| &TABLE[place])
}

const DATE: Names = &["date"];
const TYPE: Names = &["type"];
const PERIOD: Names = &["period"];
const CREATED: Names = &["created"];
const NO: Names = &[];

/// Sorted by type.
#[rustfmt::skip]
static TABLE: [Paths; 146] = [
    of("Account").code(TYPE).start(&["servicePeriod"]),
    definition("ActivityDefinition").code(&["code"]),
    of("AdverseEvent").code(&["event"]).status(NO).start(&["date", "detected"]).recorded(&["recordedDate"]).done(),
    of("AllergyIntolerance").status(&["clinicalStatus"]).verification(&["verificationStatus"]).start(&["onset[x]"]).recorded(&["recordedDate"]).done(),
    of("Appointment").code(&["appointmentType", "serviceType"]).category(&["serviceCategory"]).subject(&["participant.actor"]).start(&["start", "requestedPeriod"]).end(&["end"]).recorded(CREATED),
    of("AppointmentResponse").code(&["participantType"]).status(&["participantStatus"]).subject(&["actor"]).start(&["start"]).end(&["end"]),
    of("AuditEvent").code(TYPE).category(&["subtype"]).status(NO).subject(&["entity.what", "agent.who"]).start(PERIOD).recorded(&["recorded"]).done(),
    of("Basic").recorded(CREATED),
    of("Binary").code(&["contentType"]).status(NO).subject(&["securityContext"]),
    of("BiologicallyDerivedProduct").code(&["productCode"]).category(&["productCategory"]).start(&["collection.collected[x]"]).done(),
    active("BodyStructure").code(&["location", "morphology"]),
    of("Bundle").code(TYPE).status(NO).subject(NO).recorded(&["timestamp"]),
    definition("CapabilityStatement"),
    of("CarePlan").code(&["category"]).start(PERIOD).recorded(CREATED),
    of("CareTeam").code(&["category"]).start(PERIOD),
    of("CatalogEntry").code(TYPE).start(&["validityPeriod"]).recorded(&["lastUpdated"]),
    of("ChargeItem").start(&["occurrence[x]"]).recorded(&["enteredDate"]).value(&["quantity"]),
    definition("ChargeItemDefinition").code(&["code"]),
    of("Claim").code(TYPE).category(&["use"]).encounter(&["item.encounter"]).start(&["billablePeriod"]).recorded(CREATED).value(&["total"]),
    of("ClaimResponse").code(TYPE).category(&["use"]).recorded(CREATED).value(&["payment.amount"]),
    of("ClinicalImpression").start(&["effective[x]"]).recorded(DATE).value(&["summary"]).done(),
    definition("CodeSystem"),
    of("Communication").code(&["topic"]).start(&["sent", "received"]).end(&["received"]).done(),
    request("CommunicationRequest").code(&["category"]),
    definition("CompartmentDefinition").code(&["code"]),
    of("Composition").code(TYPE).start(DATE).recorded(DATE).value(&["title"]),
    definition("ConceptMap"),
    of("Condition").status(&["clinicalStatus"]).verification(&["verificationStatus"]).start(&["onset[x]"]).end(&["abatement[x]"]).recorded(&["recordedDate"]).done(),
    of("Consent").code(&["scope"]).start(&["provision.period", "dateTime"]).recorded(&["dateTime"]),
    of("Contract").code(TYPE).start(&["applies"]).recorded(&["issued"]),
    of("Coverage").code(TYPE).subject(&["beneficiary"]).start(PERIOD),
    of("CoverageEligibilityRequest").code(&["purpose"]).start(&["serviced[x]"]).recorded(CREATED),
    of("CoverageEligibilityResponse").code(&["purpose"]).start(&["serviced[x]"]).recorded(CREATED),
    of("DetectedIssue").start(&["identified[x]"]).recorded(&["identifiedDateTime"]).done(),
    of("Device").code(TYPE),
    of("DeviceDefinition").code(TYPE),
    of("DeviceMetric").code(TYPE).status(&["operationalStatus"]),
    request("DeviceRequest").code(&["code[x]"]).value(&["parameter.value[x]"]),
    of("DeviceUseStatement").code(&["device"]).start(&["timing[x]"]).recorded(&["recordedOn"]),
    of("DiagnosticReport").start(&["effective[x]"]).recorded(&["issued"]).value(&["conclusion"]).done(),
    of("DocumentManifest").code(TYPE).recorded(CREATED).identifier(&["masterIdentifier", "identifier"]),
    of("DocumentReference").code(TYPE).verification(&["docStatus"]).encounter(&["context.encounter"]).start(&["context.period"]).recorded(DATE).identifier(&["masterIdentifier", "identifier"]),
    definition("EffectEvidenceSynthesis"),
    of("Encounter").code(&["class"]).category(TYPE).start(PERIOD),
    of("Endpoint").code(&["connectionType"]).start(PERIOD),
    of("EnrollmentRequest").subject(&["candidate"]).recorded(CREATED),
    of("EnrollmentResponse").recorded(CREATED),
    of("EpisodeOfCare").code(TYPE).start(PERIOD),
    definition("EventDefinition"),
    definition("Evidence"),
    definition("EvidenceVariable"),
    definition("ExampleScenario"),
    of("ExplanationOfBenefit").code(TYPE).category(&["use"]).encounter(&["item.encounter"]).start(&["billablePeriod"]).recorded(CREATED).value(&["payment.amount"]),
    of("FamilyMemberHistory").code(&["relationship"]).recorded(DATE),
    of("Flag").start(PERIOD),
    of("Goal").code(&["description"]).status(&["lifecycleStatus"]).start(&["start[x]"]).end(&["target.due[x]"]).recorded(&["statusDate"]).value(&["target.detail[x]"]),
    definition("GraphDefinition"),
    active("Group").value(&["quantity"]),
    of("GuidanceResponse").code(&["module[x]"]).start(&["occurrenceDateTime"]).done(),
    active("HealthcareService").code(TYPE),
    of("ImagingStudy").code(&["procedureCode", "modality"]).category(&["modality"]).start(&["started"]).done(),
    of("Immunization").code(&["vaccineCode"]).start(&["occurrence[x]"]).recorded(&["recorded"]).value(&["doseQuantity"]).done(),
    of("ImmunizationEvaluation").code(&["targetDisease"]).start(DATE).value(&["doseStatus"]).done(),
    of("ImmunizationRecommendation").code(&["recommendation.vaccineCode"]).recorded(DATE),
    definition("ImplementationGuide"),
    of("InsurancePlan").code(TYPE).start(PERIOD),
    of("Invoice").code(TYPE).start(DATE).recorded(DATE).value(&["totalNet"]),
    definition("Library").code(TYPE),
    active("Linkage"),
    of("List").start(DATE).recorded(DATE),
    of("Location").code(TYPE).category(&["physicalType"]),
    definition("Measure").code(TYPE),
    of("MeasureReport").code(&["measure"]).category(TYPE).start(PERIOD).recorded(DATE).value(&["group.measureScore"]),
    of("Media").code(&["modality", "type"]).category(TYPE).start(&["created[x]"]).recorded(&["issued"]).done(),
    of("Medication"),
    of("MedicationAdministration").code(&["medication[x]"]).start(&["effective[x]"]).value(&["dosage.dose", "dosage.rate[x]"]).done(),
    of("MedicationDispense").code(&["medication[x]"]).start(&["whenHandedOver", "whenPrepared"]).recorded(&["whenPrepared"]).value(&["quantity"]).done(),
    of("MedicationKnowledge"),
    request("MedicationRequest").code(&["medication[x]"]).start(&["authoredOn"]).value(&["dosageInstruction.doseAndRate.dose[x]"]),
    of("MedicationStatement").code(&["medication[x]"]).start(&["effective[x]"]).recorded(&["dateAsserted"]).value(&["dosage.doseAndRate.dose[x]"]),
    of("MedicinalProduct").code(TYPE),
    of("MedicinalProductAuthorization").start(&["validityPeriod", "statusDate"]).recorded(&["statusDate"]),
    of("MedicinalProductContraindication").code(&["disease"]),
    of("MedicinalProductIndication").code(&["diseaseSymptomProcedure"]),
    of("MedicinalProductIngredient").code(&["role"]),
    of("MedicinalProductInteraction").code(TYPE),
    of("MedicinalProductManufactured").code(&["manufacturedDoseForm"]).value(&["quantity"]),
    of("MedicinalProductPackaged").code(&["legalStatusOfSupply"]),
    of("MedicinalProductPharmaceutical").code(&["administrableDoseForm"]),
    of("MedicinalProductUndesirableEffect").code(&["symptomConditionEffect"]),
    definition("MessageDefinition").code(&["event[x]"]).category(&["category"]),
    of("MessageHeader").code(&["event[x]"]).status(NO).subject(&["focus"]),
    of("MolecularSequence").code(TYPE).value(&["quantity"]),
    definition("NamingSystem").code(TYPE).category(&["kind"]).start(NO),
    of("NutritionOrder").code(&["oralDiet.type", "supplement.type", "enteralFormula.baseFormulaType"]).start(&["dateTime"]).recorded(&["dateTime"]),
    of("Observation").start(&["effective[x]"]).recorded(&["issued"]).value(&["value[x]"]).done(),
    of("ObservationDefinition").start(NO),
    definition("OperationDefinition").code(&["code"]).category(&["kind"]),
    of("OperationOutcome").code(&["issue.code"]).category(&["issue.severity"]).value(&["issue.diagnostics"]),
    active("Organization").code(TYPE),
    active("OrganizationAffiliation").start(PERIOD),
    of("Parameters").code(NO),
    active("Patient").code(NO),
    of("PaymentNotice").code(&["paymentStatus"]).subject(NO).start(&["paymentDate"]).recorded(CREATED).value(&["amount"]),
    of("PaymentReconciliation").code(NO).subject(NO).start(PERIOD).recorded(CREATED).value(&["paymentAmount"]),
    active("Person").code(NO).subject(&["link.target"]),
    definition("PlanDefinition").code(TYPE),
    active("Practitioner").code(NO),
    active("PractitionerRole").start(PERIOD),
    of("Procedure").start(&["performed[x]"]).value(&["outcome"]).done(),
    of("Provenance").code(&["activity"]).status(NO).subject(&["target"]).start(&["occurred[x]"]).recorded(&["recorded"]).done(),
    definition("Questionnaire").code(&["code"]),
    of("QuestionnaireResponse").code(&["questionnaire"]).start(&["authored"]).recorded(&["authored"]).done(),
    active("RelatedPerson").code(&["relationship"]).start(PERIOD),
    request("RequestGroup").start(&["authoredOn"]),
    definition("ResearchDefinition"),
    definition("ResearchElementDefinition").category(TYPE),
    of("ResearchStudy").code(&["focus", "condition"]).start(PERIOD),
    of("ResearchSubject").code(NO).subject(&["individual"]).start(PERIOD),
    of("RiskAssessment").code(&["code", "method"]).start(&["occurrence[x]"]).value(&["prediction.probability[x]"]),
    definition("RiskEvidenceSynthesis"),
    active("Schedule").code(&["serviceType"]).category(&["serviceCategory"]).subject(&["actor"]).start(&["planningHorizon"]),
    definition("SearchParameter").code(&["code"]).category(TYPE),
    request("ServiceRequest").value(&["quantity[x]"]),
    of("Slot").code(&["serviceType", "appointmentType"]).category(&["serviceCategory"]).start(&["start"]).end(&["end"]),
    of("Specimen").code(TYPE).start(&["collection.collected[x]"]).recorded(&["receivedTime"]).value(&["collection.quantity"]).done(),
    of("SpecimenDefinition").code(&["typeCollected"]),
    definition("StructureDefinition").code(TYPE).category(&["kind"]),
    definition("StructureMap"),
    of("Subscription").code(NO).end(&["end"]),
    of("Substance").value(&["instance.quantity"]),
    of("SubstanceNucleicAcid").code(&["sequenceType"]),
    of("SubstancePolymer").code(&["class"]),
    of("SubstanceProtein").code(&["sequenceType"]),
    of("SubstanceReferenceInformation").code(NO),
    of("SubstanceSourceMaterial").code(&["sourceMaterialType"]),
    of("SubstanceSpecification").code(TYPE),
    of("SupplyDelivery").code(&["suppliedItem.item[x]", "type"]).category(TYPE).start(&["occurrence[x]"]).value(&["suppliedItem.quantity"]),
    request("SupplyRequest").code(&["item[x]"]).subject(&["deliverTo"]).value(&["quantity"]),
    of("Task").subject(&["for"]).start(&["executionPeriod", "authoredOn"]).recorded(&["authoredOn"]),
    definition("TerminologyCapabilities"),
    of("TestReport").code(&["result"]).start(&["issued"]).recorded(&["issued"]).value(&["score"]).done(),
    definition("TestScript"),
    definition("ValueSet"),
    of("VerificationResult").code(&["validationType"]).subject(&["target"]).start(&["lastPerformed"]).recorded(&["statusDate"]),
    of("VisionPrescription").code(&["lensSpecification.product"]).start(&["dateWritten"]).recorded(CREATED),
];
