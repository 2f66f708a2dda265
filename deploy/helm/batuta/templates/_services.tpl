{{- /* What stands before the pods of a service: one address for all, a name for each, and how many may be away. */ -}}
{{- define "batuta.services" -}}
{{- $name := printf "%s-%s" (include "batuta.name" .root) .part -}}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- include "batuta.labels" . | nindent 4 }}
  {{- with .values.service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .values.service.type }}
  selector: {{- include "batuta.selector" . | nindent 4 }}
  ports:
    - name: grpc
      port: {{ .values.service.port }}
      targetPort: grpc
      protocol: TCP
      {{- if not .root.Values.tls.existingSecret }}
      appProtocol: kubernetes.io/h2c
      {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}-pods
  labels: {{- include "batuta.labels" . | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{- include "batuta.selector" . | nindent 4 }}
  ports:
    - {name: grpc, port: {{ .port }}, targetPort: grpc, protocol: TCP}
{{- if .root.Values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- include "batuta.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "batuta.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
